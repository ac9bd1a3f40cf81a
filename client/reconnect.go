package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const dialTimeout = 10 * time.Second // for one attempt, hello included

// comeBack dials until the client is connected, or is not to try any more. wait is what the server has asked for before
// the first attempt; nil: nothing.
func (c *client) comeBack(wait *RefusedError) (*transport, error) {
	again := false // it has been tried once more at once
	last := errNoReturn
	for {
		if c.cfg.retries >= 0 && c.attempts >= c.cfg.retries {
			return nil, last
		}
		if !again {
			if !c.sleep(c.delay(wait)) {
				return nil, ErrConnectionClosed
			}
		}
		c.attempts++
		ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
		t, err := c.dial(ctx)
		cancel()
		if err == nil {
			return t, nil
		}
		if c.ctx.Err() != nil {
			return nil, ErrConnectionClosed
		}
		c.cfg.logger.Info("wspulse: client: an attempt to come back failed", zap.Error(err))
		last, wait = err, nil
		if errors.As(err, &wait) && !wait.Reconnect {
			return nil, err
		}
		again = !again && wait != nil && (wait.Code == codeUnauthorized || wait.Status == http.StatusUnauthorized)
	}
}

// sleep returns false when the client is closed meanwhile.
func (c *client) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// delay returns how long to wait before the next attempt.
func (c *client) delay(wait *RefusedError) time.Duration {
	if wait != nil && wait.AfterMax > 0 {
		return between(wait.AfterMin, wait.AfterMax)
	}
	most := c.cfg.cap
	if c.attempts < 32 && c.cfg.base<<(c.attempts+1)>>(c.attempts+1) == c.cfg.base {
		most = min(most, c.cfg.base<<(c.attempts+1))
	}
	chance := time.Duration(c.cfg.jitter * float64(most-c.cfg.base))
	return between(most-chance, most)
}

func between(least, most time.Duration) time.Duration {
	return least + time.Duration(rand.Int64N(int64(max(0, most-least))+1))
}
