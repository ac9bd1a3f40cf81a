// Chat is a chat in the browser, with rooms, on a wspulse server. Run it and open http://127.0.0.1:8080 in two tabs:
//
//	go run ./examples/chat
//
// Beside the page and its socket it serves a small HTTP API:
//
//	curl -H 'Content-Type: application/json' -d '{"text": "Coffee is ready"}' http://127.0.0.1:8080/rooms/lobby/announce
//	curl -H 'Content-Type: application/json' -d '{"text": "Psst"}' http://127.0.0.1:8080/users/ann/send
//	curl -X POST http://127.0.0.1:8080/users/ann/kick
//	curl http://127.0.0.1:8080/rooms/lobby
//	curl http://127.0.0.1:8080/stats
//
// The API asks nobody who they are: it is for a demonstration on one machine. Put a login before it elsewhere. On a
// loopback address, the default, it answers only requests whose Host is localhost or a loopback address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	restore()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "chat: %v\n", err)
		os.Exit(1)
	}
}

// errUsage says that the flags are wrong, which the user has been told.
var errUsage = errors.New("wrong usage")

// run serves the chat until ctx ends. It prints the address to stdout, and logs to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free port")
	resume := flags.Duration("resume", 30*time.Second, "how long a member who lost the connection may take to come back")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Chat serves a chat in the browser.\n\nUsage: chat [-addr address] [-resume duration]\n\n")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage // Parse has told
	case flags.NArg() > 0 || *resume < 0:
		fmt.Fprintln(stderr, "chat: no arguments, and no negative durations, please")
		flags.Usage()
		return errUsage
	}

	listener, err := net.Listen("tcp", *addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; choose another address with -addr", err)
	}
	if err != nil {
		return err
	}
	logger := newLogger(stderr)
	defer func() { _ = logger.Sync() }()
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		logger.Warn("anybody who reaches this address can kick and announce", zap.Stringer("address", tcp))
	}
	fmt.Fprintf(stdout, "The chat is at http://%s (Ctrl-C ends it)\n", listener.Addr())
	return serve(ctx, listener, newChat(*resume, logger), logger)
}

func newLogger(w io.Writer) *zap.Logger {
	config := zap.NewDevelopmentEncoderConfig()
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel))
}

// serve serves the chat on listener until ctx ends. Then it tells the members, and gives requests five seconds to end.
func serve(ctx context.Context, listener net.Listener, c *chat, logger *zap.Logger) error {
	web := newWebServer(c, logger)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	c.server.Close()
	bound, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, web.Shutdown(bound))
}

func newWebServer(c *chat, logger *zap.Logger) *http.Server {
	errorLog, err := zap.NewStdLogAt(logger, zap.WarnLevel)
	if err != nil {
		panic(err) // the level is a valid one
	}
	return &http.Server{
		Handler:           newHandler(c),
		ConnContext:       withSocket,
		ErrorLog:          errorLog,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
