/* Certificates: made for a test, with keys of P-256, as PEM. */
#ifndef TESTS_CLIENT_STUB_CERTIFICATES_H
#define TESTS_CLIENT_STUB_CERTIFICATES_H

/* A certificate and its key; the texts are released by certificate_done. */
struct certificate {
    char *certificate, *key;
};

/* Makes a certificate for a host name, or an authority when `issuer` is NULL. */
void certificate_make(const char *name, const struct certificate *issuer,
                      struct certificate *ret_certificate);

void certificate_done(struct certificate *certificate);

#endif
