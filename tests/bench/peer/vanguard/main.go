// Vanguard: connectrpc.com/vanguard as its documentation sets it up before a gRPC server elsewhere: a
// reverse proxy behind its transcoder, over HTTP/1.1 and HTTP/2 in clear.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"connectrpc.com/vanguard"
	"peer/gen"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: vanguard HOST:PORT BACKEND")
	}
	var backend http.Protocols
	backend.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: os.Args[2]})
	proxy.Transport = &http.Transport{Protocols: &backend}
	proxy.FlushInterval = -1
	service := vanguard.NewServiceWithSchema(
		gen.File_peer_proto.Services().ByName("EchoService"), proxy,
		vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
		vanguard.WithTargetCodecs(vanguard.CodecProto))
	transcoder, err := vanguard.NewTranscoder([]*vanguard.Service{service})
	if err != nil {
		log.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: os.Args[1], Handler: transcoder, Protocols: &protocols}
	log.Fatal(server.ListenAndServe())
}
