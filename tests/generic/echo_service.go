// A gRPC service of any descriptor set: it answers a request with itself, so that a test sees what it was. Nothing in it
// knows TravelSense.
//
//	echo_service DESCRIPTOR_SET HOST:PORT
//
// A method whose name begins with "Fail" ends with the code in the field long_value. One that answers with a stream sends
// the request as often as its field numbers has elements. google.api.HttpBody is answered with the request's, or with the
// request as protobuf's text.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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

func serve(files *protoregistry.Files, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method, err := methodOf(files, path)
	if err != nil {
		return err
	}
	request := dynamicpb.NewMessage(method.Input())
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	if strings.HasPrefix(string(method.Name()), "Fail") {
		code := fieldOf(request, "long_value").Message()
		value := code.Get(code.Descriptor().Fields().ByName("value")).Int()
		return status.Errorf(codes.Code(value), "asked for %d", value)
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

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: echo_service DESCRIPTOR_SET HOST:PORT")
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
		return serve(files, stream)
	}))
	fmt.Println("ready")
	log.Fatal(server.Serve(listener))
}
