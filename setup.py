"""What pyproject.toml cannot say: the one loop that is also there in C, built where there is a compiler and left out elsewhere."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "jsrpd.sessions._relay",
            ["src/jsrpd/sessions/_relay.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
