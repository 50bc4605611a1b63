"""c_proto_library: protoc-c over .proto files; proto_descriptor_library: their descriptor set as a C array."""

CProtoInfo = provider(
    doc = "What a c_proto_library lends to those that import its files.",
    fields = {
        "roots": "depset of import roots (strings)",
        "srcs": "depset of .proto files, transitive",
    },
)

def proto_root(ctx):
    # Imports are written from the folder of the BUILD file that names the files, or from `root` below it.
    parts = [ctx.label.workspace_root, ctx.label.package, ctx.attr.root]
    if ctx.files.srcs and not ctx.files.srcs[0].is_source:
        parts = [ctx.bin_dir.path] + parts
    return "/".join([p for p in parts if p]) or "."

def proto_inputs(ctx):
    """Finds out what protoc needs to know of a rule with `srcs`, `deps` and `root`.

    Args:
      ctx: the rule's.

    Returns:
      Its CProtoInfo, and the names by which its srcs are imported.
    """
    deps = [d[CProtoInfo] for d in ctx.attr.deps]
    root = proto_root(ctx)
    names = [f.path if root == "." else f.path[len(root) + 1:] for f in ctx.files.srcs]
    info = CProtoInfo(
        roots = depset([root], transitive = [d.roots for d in deps]),
        srcs = depset(ctx.files.srcs, transitive = [d.srcs for d in deps]),
    )
    return info, names

def _gen_impl(ctx):
    info, names = proto_inputs(ctx)
    prefix = ctx.attr.root + "/" if ctx.attr.root else ""
    cs = [ctx.actions.declare_file(prefix + n[:-len(".proto")] + ".pb-c.c") for n in names]
    hs = [ctx.actions.declare_file(prefix + n[:-len(".proto")] + ".pb-c.h") for n in names]
    args = ctx.actions.args()
    args.add_all(info.roots, format_each = "-I%s")
    args.add("--c_out=" + cs[0].path[:-len(names[0]) + len(".proto") - len(".pb-c.c") - 1])
    args.add_all(names)
    ctx.actions.run(
        executable = ctx.attr.protoc_c,
        arguments = [args],
        inputs = info.srcs,
        outputs = cs + hs,
        mnemonic = "CProto",
        progress_message = "protoc-c " + str(ctx.label),
    )
    return [
        DefaultInfo(files = depset(cs)),
        OutputGroupInfo(c = depset(cs), h = depset(hs)),
        info,
    ]

_ATTRS = {
    "deps": attr.label_list(providers = [CProtoInfo]),
    "protoc_c": attr.string(default = "/usr/bin/protoc-c"),
    "root": attr.string(doc = "where imports begin, below the package"),
    "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
}

_c_proto_gen = rule(implementation = _gen_impl, attrs = _ATTRS)

def c_proto_library(name, srcs, deps = [], root = "", visibility = None, **kwargs):
    """A cc_library of the code protoc-c makes."""
    gen = name + "_gen"
    _c_proto_gen(
        name = gen,
        srcs = srcs,
        deps = [d + "_gen" for d in deps],
        root = root,
        visibility = visibility,
    )
    native.filegroup(name = name + "_c", srcs = [gen], output_group = "c")
    native.filegroup(name = name + "_h", srcs = [gen], output_group = "h")
    native.cc_library(
        name = name,
        srcs = [name + "_c"],
        hdrs = [name + "_h"],
        copts = ["-w"],
        includes = [root or "."],  # the generated #include lines start at the import root
        visibility = visibility,
        deps = deps + ["@protobuf_c"],
        **kwargs
    )

def _descriptor_impl(ctx):
    info, names = proto_inputs(ctx)
    desc = ctx.actions.declare_file(ctx.attr.symbol + ".binpb")
    args = ctx.actions.args()
    args.add_all(info.roots, format_each = "-I%s")
    args.add("--include_imports")
    args.add("--include_source_info")
    args.add("--descriptor_set_out=" + desc.path)
    args.add_all(names)
    ctx.actions.run(
        executable = ctx.attr.protoc,
        arguments = [args],
        inputs = info.srcs,
        outputs = [desc],
        mnemonic = "ProtoDescriptor",
    )
    dc = ctx.actions.declare_file(ctx.attr.symbol + ".c")
    dh = ctx.actions.declare_file(ctx.attr.symbol + ".h")
    ctx.actions.run(
        executable = ctx.executable._embed,
        arguments = [ctx.attr.symbol, desc.path, dc.path, dh.path],
        inputs = [desc],
        outputs = [dc, dh],
        mnemonic = "Embed",
    )
    return [
        DefaultInfo(files = depset([dc])),
        OutputGroupInfo(c = depset([dc]), h = depset([dh]), descriptor = depset([desc])),
    ]

_descriptor_gen = rule(
    implementation = _descriptor_impl,
    attrs = dict(
        _ATTRS,
        protoc = attr.string(default = "/usr/bin/protoc"),
        symbol = attr.string(mandatory = True),
        _embed = attr.label(default = "//tools:embed", executable = True, cfg = "exec"),
    ),
)

def proto_descriptor_library(name, srcs, deps = [], visibility = None):
    """A cc_library with `<name>.h`: the FileDescriptorSet, imports and comments included, as `<name>[]`.

    `<name>_binpb` is the same set as a file.
    """
    gen = name + "_gen"
    _descriptor_gen(
        name = gen,
        srcs = srcs,
        deps = [d + "_gen" for d in deps],
        symbol = name,
    )
    native.filegroup(name = name + "_c", srcs = [gen], output_group = "c")
    native.filegroup(name = name + "_h", srcs = [gen], output_group = "h")
    native.filegroup(name = name + "_binpb", srcs = [gen], output_group = "descriptor", visibility = visibility)
    native.cc_library(
        name = name,
        srcs = [name + "_c"],
        hdrs = [name + "_h"],
        includes = ["."],
        visibility = visibility,
    )
