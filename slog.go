package wspulse

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// WithSlog is [WithLogger] for a program that logs with log/slog: what is logged, when, and what waits for it are the
// same. The later of the two counts. The context that the logger's Handler gets is context.Background().
//
// The Handler's Enabled is called from every goroutine that may log, the hub's included: it must not block. Handle is
// called from one goroutine at a time, which may be slow.
//
// Default no log. Must not be nil.
func WithSlog(logger *slog.Logger) ServerOption {
	if logger == nil {
		panic("wspulse: WithSlog: logger must not be nil")
	}
	return func(c *serverConfig) { c.setLogger(zap.New(slogCore{logger.Handler()})) }
}

// A slogCore is a zapcore.Core over a slog.Handler.
type slogCore struct{ handler slog.Handler }

// Enabled implements zapcore.Core.
func (c slogCore) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slogLevel(level))
}

// slogLevel returns the level of that name; those of zap are one apart, those of slog four.
func slogLevel(level zapcore.Level) slog.Level { return slog.Level(4 * level) }

// With implements zapcore.Core.
func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.handler.WithAttrs(slogAttrs(fields))}
}

// Check implements zapcore.Core.
func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), entry.Message, 0)
	record.AddAttrs(slogAttrs(fields)...)
	return c.handler.Handle(context.Background(), record)
}

// Sync implements zapcore.Core.
func (slogCore) Sync() error { return nil }

// slogAttrs returns fields as attributes, in their order. A field is encoded by itself, and may be none or several.
func slogAttrs(fields []zapcore.Field) (attrs []slog.Attr) {
	for _, field := range fields {
		encoder := zapcore.NewMapObjectEncoder()
		field.AddTo(encoder)
		attrs = append(attrs, slogGroup(encoder.Fields)...)
	}
	return attrs
}

// slogGroup returns what an encoder has made of an object, by name.
func slogGroup(object map[string]any) (attrs []slog.Attr) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if nested, ok := object[key].(map[string]any); ok {
			attrs = append(attrs, slog.GroupAttrs(key, slogGroup(nested)...))
		} else {
			attrs = append(attrs, slog.Any(key, object[key]))
		}
	}
	return attrs
}
