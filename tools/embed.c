/* embed NAME IN OUT.c OUT.h: turns a file into a C array NAME[] with NAME_size. */
#include <stdio.h>

static int embed_write(const char *name, FILE *in, FILE *source, FILE *header) {
    size_t count = 0;
    int byte;
    fprintf(source, "#include \"%s.h\"\nconst uint8_t %s[] = {", name, name);
    while ((byte = getc(in)) != EOF) {
        fprintf(source, "%s%d,", count++ % 20 ? "" : "\n", byte);
    }
    fprintf(source, "0\n};\nconst size_t %s_size = %zu;\n", name, count);
    fprintf(header,
            "#pragma once\n#include <stddef.h>\n#include <stdint.h>\n"
            "extern const uint8_t %s[];\nextern const size_t %s_size;\n",
            name, name);
    return ferror(in) || ferror(source) || ferror(header);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fputs("usage: embed NAME IN OUT.c OUT.h\n", stderr);
        return 2;
    }
    FILE *in = fopen(argv[2], "rb");
    FILE *source = fopen(argv[3], "w");
    FILE *header = fopen(argv[4], "w");
    if (!in || !source || !header) {
        perror("embed");
        return 1;
    }
    int failed = embed_write(argv[1], in, source, header);
    failed |= fclose(source) | fclose(header) | fclose(in);
    return failed ? 1 : 0;
}
