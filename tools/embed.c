#include <stdio.h>
/* embed NAME IN OUT.c OUT.h */
int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    FILE *in = fopen(argv[2], "rb"), *c = fopen(argv[3], "w"), *h = fopen(argv[4], "w");
    if (!in || !c || !h) {
        perror("embed");
        return 1;
    }
    int ch;
    size_t n = 0;
    fprintf(c, "#include <stddef.h>\n#include <stdint.h>\nconst uint8_t %s[] = {", argv[1]);
    while ((ch = getc(in)) != EOF)
        fprintf(c, "%s%d,", n++ % 20 ? "" : "\n", ch);
    fprintf(c, "0\n};\nconst size_t %s_size = %zu;\n", argv[1], n);
    fprintf(h,
            "#pragma once\n#include <stddef.h>\n#include <stdint.h>\nextern const uint8_t "
            "%s[];\nextern const size_t %s_size;\n",
            argv[1], argv[1]);
    return fclose(c) || fclose(h) || fclose(in);
}
