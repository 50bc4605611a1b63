// Backend: a gRPC server that echoes; behind every gateway that is measured.
package main

import (
	"context"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"peer/gen"
)

type echo struct {
	gen.UnimplementedEchoServiceServer
}

func (echo) Echo(_ context.Context, request *gen.EchoRequest) (*gen.EchoRequest, error) {
	return request, nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: backend HOST:PORT")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	gen.RegisterEchoServiceServer(server, echo{})
	log.Fatal(server.Serve(listener))
}
