package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

const dialTimeout = 10 * time.Second // for one attempt, hello included

// comeBack dials until the client is connected, or is not to try any more. why is what has ended the last transport.
func (c *client) comeBack(why error) (*transport, error) {
	last := errNoReturn
	for {
		if c.cfg.retries >= 0 && c.attempts >= c.cfg.retries {
			return nil, last
		}
		var refused *RefusedError
		errors.As(why, &refused)
		if refused.unauthorized() && !c.hurried {
			c.hurried = true // the functions of the options return a new token, maybe
		} else if !c.sleep(c.delay(refused)) {
			return nil, ErrConnectionClosed
		}
		c.attempts++
		t, err := c.attempt()
		if err == nil {
			return t, nil
		}
		if c.ctx.Err() != nil {
			return nil, ErrConnectionClosed
		}
		c.cfg.logger.Info("wspulse: client: an attempt to come back failed", zap.Error(err))
		if refused = nil; errors.As(err, &refused) && !refused.Reconnect {
			return nil, err
		}
		last, why = err, err
	}
}

// attempt dials. A function of an option that panics is an attempt that failed.
func (c *client) attempt() (t *transport, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.cfg.logger.Warn("wspulse: client: panic in a function of an option", zap.String("panic", fmt.Sprint(v)),
				zap.ByteString("stack", debug.Stack()))
			t, err = nil, fmt.Errorf("wspulse: client: a function of an option panicked: %v", v)
		}
	}()
	return c.dial(c.ctx)
}

// unauthorized says that another token may help.
func (e *RefusedError) unauthorized() bool {
	return e != nil && (e.Code == codeUnauthorized || e.Status == http.StatusUnauthorized)
}

// sleep returns false when the client is closed meanwhile.
func (c *client) sleep(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(c.ctx, d)
	defer cancel()
	<-ctx.Done()
	return c.ctx.Err() == nil
}

// delay returns how long to wait before the next attempt.
func (c *client) delay(refused *RefusedError) time.Duration {
	if refused != nil && refused.AfterMax > 0 {
		return between(refused.AfterMin, refused.AfterMax)
	}
	most := c.cfg.cap
	if c.attempts < 32 && c.cfg.base<<c.attempts>>c.attempts == c.cfg.base {
		most = min(most, c.cfg.base<<c.attempts)
	}
	return between(most-time.Duration(c.cfg.jitter*float64(most)), most)
}

func between(least, most time.Duration) time.Duration {
	return least + time.Duration(rand.Int64N(int64(max(0, most-least))+1))
}
