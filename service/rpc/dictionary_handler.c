#include "google/api/httpbody.pb-c.h"
#include "service/codec/chunk_codec.h"
#include "service/rpc/handlers.h"
#include "service/rpc/messages.h"

void bundle_dictionary_handle(struct rpc_call *call) {
    const PB(GetBundleDictionaryRequest) *request = sync_service_get_bundle_dictionary_unpack(call);
    if (!request)
        return;
    uint32_t id = request->dictionary_id != 0 ? (uint32_t)request->dictionary_id
                                              : (uint32_t)CHUNK_DICTIONARY_ID;
    struct slice dictionary = chunk_dictionary(id);
    if (dictionary.size == 0) {
        rpc_call_fail_with(call, SYNC_ERR_NOT_FOUND, "DICTIONARY_NOT_FOUND",
                           "There is no dictionary %d; the newest has the number %d.",
                           request->dictionary_id, CHUNK_DICTIONARY_ID);
        return;
    }
    Google__Api__HttpBody body = GOOGLE__API__HTTP_BODY__INIT;
    body.content_type = "application/octet-stream";
    body.data = message_bytes(dictionary);
    sync_service_get_bundle_dictionary_reply(call, &body);
}
