/* Signer: keys made for a test, their public halves as JWK, and tokens signed with them, good and
 * bad: header and payload are any text. */
#ifndef TESTS_SERVICE_AUTH_SIGNER_H
#define TESTS_SERVICE_AUTH_SIGNER_H

#include "base/bytes.h"
#include "service/auth/jwk.h"

struct signer;

/* Makes a key; `id` may be NULL and outlives the signer. Never NULL. */
struct signer *signer_open(enum jwk_algorithm algorithm, const char *id);
struct signer *signer_close(struct signer *signer);

/* Appends the JWK that verifies. */
void signer_jwk(const struct signer *signer, struct buffer *out);

/* Appends the compact token of a header and payload. */
void signer_sign(const struct signer *signer, const char *header, const char *payload,
                 struct buffer *out);

/* Appends the public key, or the private one, as PEM. */
void signer_pem(const struct signer *signer, bool is_private, struct buffer *out);

/* The secret of an HS256 signer. */
struct slice signer_secret(const struct signer *signer);

/* Writes {"keys":[…]} with the signers' JWKs to a file. */
void signers_write(const struct signer *const *signers, size_t count, const char *path);

/* Appends the HS256 token of a header and payload under any secret. */
void secret_sign(struct slice secret, const char *header, const char *payload, struct buffer *out);

#endif
