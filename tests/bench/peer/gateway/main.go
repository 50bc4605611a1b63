// Gateway: grpc-gateway as its documentation sets it up, over HTTP/1.1 and HTTP/2 in clear, on one
// connection to the backend.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"peer/gen"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gateway HOST:PORT BACKEND")
	}
	mux := runtime.NewServeMux()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	err := gen.RegisterEchoServiceHandlerFromEndpoint(context.Background(), mux, os.Args[2], options)
	if err != nil {
		log.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: os.Args[1], Handler: mux, Protocols: &protocols}
	log.Fatal(server.ListenAndServe())
}
