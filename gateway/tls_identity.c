#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "gateway/tls_context.h"

/* Appends text in double quotes; quotes and backslashes are escaped. */
static void put_quoted(struct buffer *out, struct slice text) {
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, text.data[i]);
    }
    buffer_append_byte(out, '"');
}

static void put_fingerprint(struct buffer *out, X509 *certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
        out->failed = true;
    buffer_append(out, SLICE("Hash="));
    for (unsigned i = 0; i < size; i++)
        buffer_append_format(out, "%02x", digest[i]);
}

/* RFC 2253 escapes whatever is not printable ASCII. */
static void put_subject(struct buffer *out, X509 *certificate) {
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (!memory ||
        X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) {
        out->failed = true;
    } else {
        long size = BIO_get_mem_data(memory, &text);
        buffer_append(out, SLICE(";Subject="));
        put_quoted(out, slice_of(text, (size_t)size));
    }
    BIO_free(memory);
}

static bool text_is_printable(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] > 0x7e)
            return false;
    }
    return text.size > 0;
}

/* Tells whether text stands for itself without quotes. */
static bool text_is_plain(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(",;=\"\\", text.data[i]))
            return false;
    }
    return true;
}

/* A name that holds what a reader could take for the end of it is not handed on. */
static void put_name(struct buffer *out, const GENERAL_NAME *name) {
    if (name->type != GEN_URI && name->type != GEN_DNS)
        return;
    struct slice text =
        slice_of(ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
    if (!text_is_printable(text))
        return;
    buffer_append(out, name->type == GEN_URI ? SLICE(";URI=") : SLICE(";DNS="));
    if (text_is_plain(text))
        buffer_append(out, text);
    else
        put_quoted(out, text);
}

void tls_identity_write(X509 *certificate, struct buffer *out) {
    put_fingerprint(out, certificate);
    put_subject(out, certificate);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        put_name(out, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
}
