"""c_grpc_library: C clients, and skeletons of servers, for the gRPC services of .proto files."""

load("//tools/build_defs:c_proto.bzl", "CProtoInfo", "proto_inputs")

def _gen_impl(ctx):
    info, names = proto_inputs(ctx)
    prefix = ctx.attr.root + "/" if ctx.attr.root else ""
    kinds = ["grpc-c"] + (["grpc-server"] if ctx.attr.server else [])
    files = {
        kind + ending: [
            ctx.actions.declare_file(prefix + name[:-len("proto")] + kind + ending)
            for name in names
        ]
        for kind in kinds
        for ending in [".h", ".c"]
    }
    first = files["grpc-c.h"][0].path
    args = ctx.actions.args()
    args.add_all(info.roots, format_each = "-I%s")
    args.add("--plugin=protoc-gen-grpc-c=" + ctx.executable._plugin.path)
    args.add("--grpc-c_out=" + first[:-len("/" + names[0]) + len("proto") - len("grpc-c.h")])
    if ctx.attr.server:
        args.add("--grpc-c_opt=server")
    if ctx.attr.prefix:
        args.add("--grpc-c_opt=prefix=" + ctx.attr.prefix)
    args.add_all(names)
    ctx.actions.run(
        executable = ctx.attr.protoc,
        arguments = [args],
        inputs = info.srcs,
        tools = [ctx.executable._plugin],
        outputs = [f for kind in files.values() for f in kind],
        mnemonic = "CGrpc",
        progress_message = "protoc-gen-grpc-c " + str(ctx.label),
    )
    return [
        DefaultInfo(files = depset([f for kind in files.values() for f in kind])),
        OutputGroupInfo(**{
            kind.replace("grpc-", "").replace(".", "_"): depset(files[kind])
            for kind in files
        }),
    ]

_c_grpc_gen = rule(
    implementation = _gen_impl,
    attrs = {
        "deps": attr.label_list(providers = [CProtoInfo]),
        "prefix": attr.string(doc = "before every name"),
        "protoc": attr.string(default = "/usr/bin/protoc"),
        "root": attr.string(doc = "where imports begin, below the package"),
        "server": attr.bool(doc = "skeletons of servers as well"),
        "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
        "_plugin": attr.label(
            default = "//tools/protoc-gen-grpc-c",
            executable = True,
            cfg = "exec",
        ),
    },
)

def _library(name, gen, kind, root, deps, **kwargs):
    for ending in ["c", "h"]:
        native.filegroup(
            name = "%s_%s" % (name, ending),
            srcs = [gen],
            output_group = "%s_%s" % (kind, ending),
            testonly = kwargs.get("testonly", False),
        )
    native.cc_library(
        name = name,
        srcs = [name + "_c"],
        hdrs = [name + "_h"],
        includes = [root or "."],  # the generated #include lines start at the import root
        deps = deps,
        **kwargs
    )

def c_grpc_library(name, srcs, deps, server = False, prefix = "", root = "", **kwargs):
    """A cc_library of clients: `X.grpc-c.h` for every X.proto. See docs/stubs.md.

    Args:
      name: the client library; with `server`, `<name>_server` has the skeletons for service/rpc (`X.grpc-server.h`).
      srcs: .proto files, each with a service at least.
      deps: the c_proto_library of these files and of those that they import.
      server: whether there are skeletons as well.
      prefix: goes before every name, when two services have the same.
      root: where imports begin, below the package, as of the c_proto_library.
      **kwargs: of both libraries (visibility, testonly).
    """
    gen = name + "_gen"
    _c_grpc_gen(
        name = gen,
        srcs = srcs,
        deps = [d + "_gen" for d in deps],
        root = root,
        server = server,
        prefix = prefix,
        testonly = kwargs.get("testonly", False),
    )
    _library(name, gen, "c", root, deps + ["@travelsense_sync//client/stub"], **kwargs)
    if server:
        _library(name + "_server", gen, "server", root, deps + ["@travelsense_sync//service/rpc:server"], **kwargs)
