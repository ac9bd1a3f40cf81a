package wspulse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newSlog returns a logger that writes to b, without the time.
func newSlog(b io.Writer, level slog.Level) *slog.Logger {
	withoutTime := func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
}

// configWith returns the configuration of a server with these options.
func configWith(options ...ServerOption) *serverConfig {
	cfg := defaultConfig(func(*http.Request) (string, string, error) { return "", "", nil })
	for _, option := range options {
		option(cfg)
	}
	return cfg
}

func TestWithSlog_Fields(t *testing.T) {
	var nobody error
	for want, fields := range map[string][]zapcore.Field{
		"":                     nil,
		" b=1 a=text":          {zap.Int("b", 1), zap.String("a", "text")},
		" d=1.5s ok=true":      {zap.Duration("d", 1500*time.Millisecond), zap.Bool("ok", true)},
		" addr=192.0.2.1":      {zap.Stringer("addr", netip.MustParseAddr("192.0.2.1"))},
		` error="went wrong"`:  {zap.Error(errors.New("went wrong"))},
		" n=2":                 {zap.Error(nobody), zap.Skip(), zap.Int("n", 2)},
		" stack=goroutine":     {zap.ByteString("stack", []byte("goroutine"))},
		" session.id=a s.id=b": {zap.Dict("session", zap.String("id", "a")), zap.Dict("s", zap.String("id", "b"))},
		" a.b.c=1 a.d=2":       {zap.Dict("a", zap.Dict("b", zap.Int("c", 1)), zap.Int("d", 2))},
		` ids="[a b]"`:         {zap.Strings("ids", []string{"a", "b"})},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			cfg := configWith(WithSlog(newSlog(&b, slog.LevelDebug)))
			cfg.logger.Info("said", fields...)
			cfg.logger.With(fields...).Info("said")
			cfg.logs.wait(time.Second)
			line := "level=INFO msg=said" + want + "\n"
			if got := b.String(); got != line+line {
				t.Errorf("logged %s, want twice %s", got, line)
			}
		})
	}
}

// A Handler below decides which levels it takes, and is given no line that it does not.
func TestWithSlog_Levels(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "level=DEBUG msg=d\nlevel=INFO msg=i\nlevel=WARN msg=w\nlevel=ERROR msg=e\n",
		slog.LevelInfo:  "level=INFO msg=i\nlevel=WARN msg=w\nlevel=ERROR msg=e\n",
		slog.LevelError: "level=ERROR msg=e\n",
		slog.Level(9):   "",
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			cfg := configWith(WithSlog(newSlog(&b, level)))
			cfg.logger.Debug("d")
			cfg.logger.Info("i")
			cfg.logger.Warn("w")
			cfg.logger.Error("e")
			cfg.logs.wait(time.Second)
			if b.String() != want {
				t.Errorf("from %v on: logged\n%swant\n%s", level, &b, want)
			}
		})
	}
}

// What the logger has been given before, its attributes and groups, is in each line. The later of two options counts.
func TestWithSlog_TheLaterCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, second bytes.Buffer
		logger := newSlog(&second, slog.LevelInfo).With("node", 7).WithGroup("ws")
		encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"})
		other := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&first), zap.DebugLevel))
		for _, cfg := range []*serverConfig{
			configWith(WithLogger(other), WithSlog(logger)), configWith(WithSlog(logger), WithLogger(other)),
		} {
			cfg.logger.Info("said", zap.Int("n", 1))
			cfg.logs.wait(time.Second)
		}
		if got := second.String(); got != "level=INFO msg=said node=7 ws.n=1\n" {
			t.Errorf("slog has %s", got)
		}
		if got := first.String(); got != `{"msg":"said","n":1}`+"\n" {
			t.Errorf("zap has %s", got)
		}
	})
}

// A gated handler takes nothing until the gate is closed.
type gatedHandler struct {
	slog.Handler
	gate chan struct{}
}

func (h gatedHandler) Handle(ctx context.Context, r slog.Record) error {
	<-h.gate
	return h.Handler.Handle(ctx, r)
}

// Nobody waits for a handler, and a line has the time at which it was logged.
func TestWithSlog_NobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		handler := gatedHandler{slog.NewTextHandler(&b, nil), make(chan struct{})}
		cfg := configWith(WithSlog(slog.New(handler)))
		logged := time.Now()
		cfg.logger.Info("said")
		time.Sleep(time.Hour)
		close(handler.gate)
		cfg.logs.wait(time.Second)
		want := "time=" + logged.Format("2006-01-02T15:04:05.000Z07:00") + " level=INFO msg=said\n"
		if got := b.String(); got != want {
			t.Errorf("logged %s, want %s", got, want)
		}
	})
}
