"""c_proto_library: protoc-c over a package's .proto files, imports included."""

CProtoInfo = provider(
    doc = "What a c_proto_library lends to those that import its files.",
    fields = {
        "roots": "depset of import roots (strings)",
        "srcs": "depset of .proto files, transitive",
    },
)

def _root_of(label):
    # Imports are written from the folder of the BUILD file that names the files.
    return "/".join([p for p in [label.workspace_root, label.package] if p]) or "."

def _gen_impl(ctx):
    deps = [d[CProtoInfo] for d in ctx.attr.deps]
    root = _root_of(ctx.label)
    roots = depset([root], transitive = [d.roots for d in deps])
    srcs = depset(ctx.files.srcs, transitive = [d.srcs for d in deps])
    cs, hs, names = [], [], []
    for f in ctx.files.srcs:
        rel = f.path if root == "." else f.path[len(root) + 1:]
        names.append(rel)
        cs.append(ctx.actions.declare_file(rel[:-len(".proto")] + ".pb-c.c"))
        hs.append(ctx.actions.declare_file(rel[:-len(".proto")] + ".pb-c.h"))
    outs = cs + hs
    out_dir = ctx.bin_dir.path + ("" if root == "." else "/" + root)
    args = ctx.actions.args()
    args.add_all(roots, format_each = "-I%s")
    args.add("--c_out=" + out_dir)
    args.add_all(names)
    ctx.actions.run(
        executable = ctx.attr.protoc_c,
        arguments = [args],
        inputs = srcs,
        outputs = outs,
        mnemonic = "CProto",
        progress_message = "protoc-c " + str(ctx.label),
    )
    desc = ctx.actions.declare_file(ctx.attr.descriptor + ".binpb")
    dargs = ctx.actions.args()
    dargs.add_all(roots, format_each = "-I%s")
    dargs.add("--include_imports")
    dargs.add("--descriptor_set_out=" + desc.path)
    dargs.add_all(names)
    ctx.actions.run(
        executable = ctx.attr.protoc_c,
        arguments = [dargs],
        inputs = srcs,
        outputs = [desc],
        mnemonic = "CProtoDescriptor",
    )
    dc = ctx.actions.declare_file(ctx.attr.descriptor + ".c")
    dh = ctx.actions.declare_file(ctx.attr.descriptor + ".h")
    ctx.actions.run(
        executable = ctx.executable._embed,
        arguments = [ctx.attr.descriptor, desc.path, dc.path, dh.path],
        inputs = [desc],
        outputs = [dc, dh],
        mnemonic = "CEmbed",
    )
    return [
        DefaultInfo(files = depset(cs + [dc])),
        OutputGroupInfo(c = depset(cs + [dc]), h = depset(hs + [dh]), descriptor = depset([desc])),
        CProtoInfo(roots = roots, srcs = srcs),
    ]

_c_proto_gen = rule(
    implementation = _gen_impl,
    attrs = {
        "deps": attr.label_list(providers = [CProtoInfo]),
        "descriptor": attr.string(mandatory = True),
        "protoc_c": attr.string(default = "/usr/bin/protoc-c"),
        "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
        "_embed": attr.label(default = "//tools:embed", executable = True, cfg = "exec"),
    },
)

def c_proto_library(name, srcs, deps = [], visibility = None, **kwargs):
    """A cc_library of the code protoc-c makes, and `<name>_descriptor` in C."""
    gen = name + "_gen"
    _c_proto_gen(
        name = gen,
        srcs = srcs,
        deps = [d + "_gen" for d in deps],
        descriptor = name + "_descriptor",
        visibility = visibility,
    )
    native.filegroup(name = name + "_c", srcs = [gen], output_group = "c")
    native.filegroup(name = name + "_h", srcs = [gen], output_group = "h")
    native.filegroup(name = name + "_binpb", srcs = [gen], output_group = "descriptor", visibility = visibility)
    native.cc_library(
        name = name,
        srcs = [name + "_c"],
        hdrs = [name + "_h"],
        copts = ["-w"],
        includes = ["."],  # the generated #include lines start at the import root
        visibility = visibility,
        deps = deps + ["@protobuf_c"],
        **kwargs
    )
