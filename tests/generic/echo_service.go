// A gRPC service of any descriptor set: it answers a request with itself, so that a test sees what it was. Nothing in it
// knows TravelSense.
//
//	echo_service DESCRIPTOR_SET HOST:PORT [FILE]
//
// A method whose name begins with "Fail" ends with the code in the field long_value, where the request has one. One that
// answers with a stream sends the request as often as its field numbers has elements. One that takes a stream answers each
// request as it comes if its answer is a stream as well, else all of them merged. google.api.HttpBody is answered with the
// request's, or with the request as protobuf's text. What metadata each call came with is appended to FILE, a line of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const httpBody = "google.api.HttpBody"

func filesOf(path string) (*protoregistry.Files, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(set)
}

func methodOf(files *protoregistry.Files, path string) (protoreflect.MethodDescriptor, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	method, isMethod := found.(protoreflect.MethodDescriptor)
	if err != nil || !isMethod {
		return nil, status.Errorf(codes.Unimplemented, "there is no method %s", path)
	}
	return method, nil
}

func fieldOf(message protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	field := message.Descriptor().Fields().ByName(name)
	if field == nil {
		return protoreflect.Value{}
	}
	return message.Get(field)
}

// bodyOf makes a google.api.HttpBody of a request: the one that it is or has, else its text.
func bodyOf(request *dynamicpb.Message, kind protoreflect.MessageDescriptor) proto.Message {
	if request.Descriptor().FullName() == httpBody {
		return request
	}
	if file := request.Descriptor().Fields().ByName("file"); file != nil && request.Has(file) {
		return request.Get(file).Message().Interface()
	}
	body := dynamicpb.NewMessage(kind)
	body.Set(kind.Fields().ByName("content_type"), protoreflect.ValueOfString("text/plain"))
	text := prototext.MarshalOptions{}.Format(request)
	body.Set(kind.Fields().ByName("data"), protoreflect.ValueOfBytes([]byte(text)))
	return body
}

func answerOf(method protoreflect.MethodDescriptor, request *dynamicpb.Message) proto.Message {
	if method.Output().FullName() == httpBody {
		return bodyOf(request, method.Output())
	}
	return request
}

// faultOf tells the error that a request asks for, or nil.
func faultOf(method protoreflect.MethodDescriptor, request *dynamicpb.Message) error {
	if !strings.HasPrefix(string(method.Name()), "Fail") {
		return nil
	}
	if field := request.Descriptor().Fields().ByName("long_value"); field == nil || !request.Has(field) {
		return nil
	}
	code := fieldOf(request, "long_value").Message()
	value := code.Get(code.Descriptor().Fields().ByName("value")).Int()
	return status.Errorf(codes.Code(value), "asked for %d", value)
}

// serveStream answers a stream of requests.
func serveStream(method protoreflect.MethodDescriptor, stream grpc.ServerStream) error {
	merged := dynamicpb.NewMessage(method.Input())
	for {
		request := dynamicpb.NewMessage(method.Input())
		err := stream.RecvMsg(request)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := faultOf(method, request); err != nil {
			return err
		}
		if !method.IsStreamingServer() {
			proto.Merge(merged, request)
		} else if err := stream.SendMsg(answerOf(method, request)); err != nil {
			return err
		}
	}
	if method.IsStreamingServer() {
		return nil
	}
	return stream.SendMsg(answerOf(method, merged))
}

func serve(files *protoregistry.Files, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method, err := methodOf(files, path)
	if err != nil {
		return err
	}
	if method.IsStreamingClient() {
		return serveStream(method, stream)
	}
	request := dynamicpb.NewMessage(method.Input())
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	if err := faultOf(method, request); err != nil {
		return err
	}
	count := 1
	if method.IsStreamingServer() {
		count = fieldOf(request, "numbers").List().Len()
	}
	for i := 0; i < count; i++ {
		if err := stream.SendMsg(answerOf(method, request)); err != nil {
			return err
		}
	}
	return nil
}

// noterOf makes what notes a call's metadata: nothing, where no file is named.
func noterOf(arguments []string) (func(context.Context), error) {
	if len(arguments) == 0 {
		return func(context.Context) {}, nil
	}
	file, err := os.OpenFile(arguments[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	var lock sync.Mutex
	return func(call context.Context) {
		lock.Lock()
		defer lock.Unlock()
		told, _ := metadata.FromIncomingContext(call)
		if err := json.NewEncoder(file).Encode(told); err != nil {
			log.Fatal(err)
		}
	}, nil
}

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		log.Fatal("usage: echo_service DESCRIPTOR_SET HOST:PORT [FILE]")
	}
	note, err := noterOf(os.Args[3:])
	if err != nil {
		log.Fatal(err)
	}
	files, err := filesOf(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		note(stream.Context())
		return serve(files, stream)
	}))
	fmt.Println("ready")
	log.Fatal(server.Serve(listener))
}
