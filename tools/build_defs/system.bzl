"""Repository rules that stand for what is installed on the machine."""

load("@bazel_tools//tools/cpp:cc_configure.bzl", "cc_autoconf_impl")

def _run(ctx, args):
    r = ctx.execute(args)
    if r.return_code != 0:
        fail("%s: %s%s" % (" ".join([str(a) for a in args]), r.stdout, r.stderr))
    return [w for w in r.stdout.replace("\n", " ").split(" ") if w]

def _pkg_config_impl(ctx):
    exe = ctx.which("pkg-config") or fail("pkg-config is not on PATH")
    module = ctx.attr.module
    cflags = _run(ctx, [exe, "--cflags", module])
    version = _run(ctx, [exe, "--modversion", module])[0]
    linkopts = ctx.attr.linkopts or _run(ctx, [exe, "--libs", module])
    defines, includes = [], []
    for flag in cflags:
        if flag.startswith("-I"):
            # An include directory off the compiler's own path is linked in.
            sub = "include/%d" % len(includes)
            ctx.symlink(flag[2:], sub)
            includes.append(sub)
        elif flag.startswith("-D"):
            defines.append(flag[2:])
    ctx.file("version.txt", version + "\n")
    ctx.file("BUILD.bazel", """# Generated: pkg-config {module} {version}
package(default_visibility = ["//visibility:public"])

exports_files(["version.txt"])

cc_library(
    name = "{name}",
    hdrs = glob(["include/**/*.h"], allow_empty = True),
    defines = {defines},
    includes = {includes},
    linkopts = {linkopts},
)
""".format(
        defines = repr(defines),
        includes = repr(includes),
        linkopts = repr(linkopts),
        module = module,
        name = ctx.name,
        version = version,
    ))

pkg_config_library = repository_rule(
    implementation = _pkg_config_impl,
    attrs = {
        "linkopts": attr.string_list(doc = "instead of pkg-config --libs"),
        "module": attr.string(mandatory = True),
    },
    configure = True,
    environ = ["PKG_CONFIG_PATH"],
    local = True,
)

def _wkt_impl(ctx):
    base = "/usr/include/google/protobuf"
    for p in ctx.path(base).readdir():
        if p.basename.endswith(".proto"):
            ctx.symlink(p, "google/protobuf/" + p.basename)
    ctx.symlink(base + "/compiler/plugin.proto", "google/protobuf/compiler/plugin.proto")
    ctx.file("BUILD.bazel", """load("@{ws}//tools/build_defs:c_proto.bzl", "c_proto_library")

package(default_visibility = ["//visibility:public"])

[c_proto_library(
    name = p + "_c_proto",
    srcs = ["google/protobuf/%s.proto" % p],
) for p in ["any", "descriptor", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"]]

c_proto_library(
    name = "compiler_plugin_c_proto",
    srcs = ["google/protobuf/compiler/plugin.proto"],
    deps = [":descriptor_c_proto"],
)
""".format(ws = ctx.attr.main))

wkt_protos = repository_rule(
    implementation = _wkt_impl,
    attrs = {"main": attr.string(default = "travelsense_sync")},
    configure = True,
    local = True,
)

_CC_RULES = [
    "cc_binary",
    "cc_import",
    "cc_library",
    "cc_proto_library",
    "cc_test",
    "cc_toolchain",
    "cc_toolchain_suite",
    "objc_import",
    "objc_library",
]

def _rules_cc_impl(ctx):
    ctx.file("cc/BUILD.bazel", "")
    ctx.file("cc/defs.bzl", "\n".join(["%s = native.%s" % (r, r) for r in _CC_RULES]) + "\n")

rules_cc_stub = repository_rule(implementation = _rules_cc_impl)

_JAVA_RULES = [
    "java_binary",
    "java_import",
    "java_library",
    "java_package_configuration",
    "java_plugin",
    "java_proto_library",
    "java_runtime",
    "java_test",
    "java_toolchain",
]

def _rules_java_impl(ctx):
    ctx.file("java/BUILD.bazel", "")
    ctx.file("java/defs.bzl", "\n".join(["%s = native.%s" % (r, r) for r in _JAVA_RULES]) + "\n")

rules_java_stub = repository_rule(implementation = _rules_java_impl)

def _clang_impl(ctx):
    clang = ctx.which("clang")
    cc_autoconf_impl(ctx, {"gcc": str(clang)} if clang else {})

clang_cc = repository_rule(implementation = _clang_impl, configure = True, local = True)

def _coverage_impl(ctx):
    ctx.file("BUILD.bazel", """package(default_visibility = ["//visibility:public"])

[sh_binary(
    name = n,
    srcs = ["@{ws}//tools/build_defs:lcov_merger.py"],
) for n in ["coverage_report_generator", "lcov_merger"]]
""".format(ws = ctx.attr.main))

coverage_tools = repository_rule(
    implementation = _coverage_impl,
    attrs = {"main": attr.string(default = "travelsense_sync")},
)

def _grpc_protos_impl(ctx):
    base = "/usr/share/grpc-proto"
    services = {
        "health": ("grpc/health/v1/health.proto", ""),
        "reflection": ("grpc/reflection/v1/reflection.proto", ""),
        "reflection_alpha": ("grpc/reflection/v1alpha/reflection.proto", "alpha_"),
    }
    testing = ["grpc/testing/%s.proto" % f for f in ["empty", "messages", "test"]]
    for f in [src for src, _ in services.values()] + testing:
        ctx.symlink(base + "/" + f, f)
    ctx.file("BUILD.bazel", """load("@{ws}//tools/build_defs:c_grpc.bzl", "c_grpc_library")
load("@{ws}//tools/build_defs:c_proto.bzl", "c_proto_library")

package(default_visibility = ["//visibility:public"])
""".format(ws = ctx.attr.main) + "".join(["""
c_proto_library(
    name = "{name}_c_proto",
    srcs = ["{src}"],
)

c_grpc_library(
    name = "{name}_c_grpc",
    srcs = ["{src}"],
    prefix = "{prefix}",
    server = True,
    deps = [":{name}_c_proto"],
)
""".format(name = name, src = service[0], prefix = service[1]) for name, service in services.items()]) + """
# What gRPC's own implementations test each other with.
c_proto_library(
    name = "testing_c_proto",
    srcs = {testing},
)

c_grpc_library(
    name = "testing_c_grpc",
    srcs = ["grpc/testing/test.proto"],
    deps = [":testing_c_proto"],
)
""".format(testing = repr(testing)))

grpc_protos = repository_rule(
    implementation = _grpc_protos_impl,
    attrs = {"main": attr.string(default = "travelsense_sync")},
    configure = True,
    local = True,
)
