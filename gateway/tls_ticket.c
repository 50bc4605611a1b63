#include "gateway/tls_ticket.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/memory.h"

enum {
    TICKET_NAME_SIZE = 16, /* OpenSSL's */
    TICKET_KEY_SIZE = 32,
    TICKET_IV_SIZE = 16,
};

/* One generation; `born_us` 0: none. */
struct ticket_key {
    uint64_t born_us;
    uint8_t name[TICKET_NAME_SIZE];
    uint8_t cipher[TICKET_KEY_SIZE];
    uint8_t mac[TICKET_KEY_SIZE];
};

struct tls_tickets {
    uint64_t lifetime_us;
    const struct clock *clock;
    const struct random_source *random;
    pthread_mutex_t lock; /* of the keys */
    struct ticket_key current, previous;
};

static void key_make(struct tls_tickets *tickets, uint64_t now_us, struct ticket_key *key) {
    const struct random_source *random = tickets->random;
    random->fill(random->context, key->name, sizeof(key->name));
    random->fill(random->context, key->cipher, sizeof(key->cipher));
    random->fill(random->context, key->mac, sizeof(key->mac));
    key->born_us = now_us;
}

/* Makes a new key where the current one is old, and drops the one before where that is. */
static void tickets_rotate(struct tls_tickets *tickets) {
    uint64_t now_us = clock_monotonic_us(tickets->clock);
    if (now_us - tickets->current.born_us >= tickets->lifetime_us) {
        tickets->previous = tickets->current;
        key_make(tickets, now_us, &tickets->current);
    }
    if (now_us - tickets->previous.born_us >= 2 * tickets->lifetime_us)
        OPENSSL_cleanse(&tickets->previous, sizeof(tickets->previous));
}

static bool key_begin(const struct ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int sealing) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "sha256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, sealing) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* OpenSSL's: 1 is well, 2 is well but give a new ticket, 0 is no key of ours, -1 an error. */
static int tickets_use(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int sealing) {
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    int result = 0;
    pthread_mutex_lock(&tickets->lock);
    tickets_rotate(tickets);
    if (sealing || memcmp(name, tickets->current.name, TICKET_NAME_SIZE) == 0) {
        key = tickets->current;
        result = 1;
    } else if (tickets->previous.born_us &&
               memcmp(name, tickets->previous.name, TICKET_NAME_SIZE) == 0) {
        key = tickets->previous;
        result = 2;
    }
    pthread_mutex_unlock(&tickets->lock);
    if (result == 0)
        return 0;
    if (sealing) {
        memcpy(name, key.name, TICKET_NAME_SIZE);
        tickets->random->fill(tickets->random->context, iv, TICKET_IV_SIZE);
    }
    if (!key_begin(&key, iv, cipher, mac, sealing))
        result = -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

enum sync_status tls_tickets_open(uint64_t lifetime_us, const struct clock *clock,
                                  const struct random_source *random,
                                  struct tls_tickets **ret_tickets) {
    assert(lifetime_us > 0);
    struct tls_tickets *tickets = memory_zalloc(1, sizeof(*tickets));
    if (!tickets)
        return SYNC_ERR_NO_MEMORY;
    tickets->lifetime_us = lifetime_us;
    tickets->clock = clock;
    tickets->random = random;
    pthread_mutex_init(&tickets->lock, NULL);
    key_make(tickets, clock_monotonic_us(clock), &tickets->current);
    *ret_tickets = tickets;
    return SYNC_OK;
}

struct tls_tickets *tls_tickets_close(struct tls_tickets *tickets) {
    if (!tickets)
        return NULL;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    memory_free(tickets);
    return NULL;
}

void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context) {
    SSL_CTX_set_app_data(context, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tickets_use);
    SSL_CTX_set_timeout(context, (long)(tickets->lifetime_us / 1000000));
}

void tls_tickets_forget(struct tls_tickets *tickets) {
    pthread_mutex_lock(&tickets->lock);
    OPENSSL_cleanse(&tickets->previous, sizeof(tickets->previous));
    key_make(tickets, clock_monotonic_us(tickets->clock), &tickets->current);
    pthread_mutex_unlock(&tickets->lock);
}
