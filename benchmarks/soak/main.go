// Soak runs a server with thousands of connections, most of them on a network that fails in every way, and checks what is
// left of it afterwards: frames, memory, goroutines, sockets, and the latency of those whose network was sound.
//
// It needs Linux, and talks to 127.0.0.1 only. See soak -h.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

const about = `soak first lets everybody come and go, which fills the tables and pools that stay: a tenth of the time, 30 s at most. What is in use
then is the start. Then the healthy peers are alone, for a fifth of the time, a minute at most; then the sick ones join in.
Anything that does not hold makes the exit code 1. Latency is judged where the machine had room: where processors were
idle for a fifth of the time, and timers not late.

`

func run(args []string) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	return soak(p, os.Stdout)
}

func parse(args []string) (plan, error) {
	var (
		p      = standard()
		flags  = flag.NewFlagSet("soak", flag.ContinueOnError)
		record = flags.Bool("record", false, "if all holds, draw the recorded plot, plots/soak.svg, anew")
		dir    = flags.String("dir", ".", "directory of the recorded results")
	)
	flags.DurationVar(&p.length, "d", p.length, "length, without what settling takes")
	flags.IntVar(&p.healthy, "healthy", p.healthy, "connections without faults")
	flags.IntVar(&p.sick, "sick", p.sick, "connections with faults")
	flags.Float64Var(&p.rate, "rate", p.rate, "broadcasts a second in each room of some 30 connections")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "of the random choices")
	flags.DurationVar(&p.every, "every", p.every, "time between the lines of the table")
	flags.StringVar(&p.plot, "o", "", "`file` for a plot, an SVG, drawn if all holds")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), about)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	switch {
	case flags.NArg() > 0:
		return p, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case p.length <= 0 || p.every <= 0 || p.rate <= 0 || p.healthy < 1 || p.sick < 1:
		return p, errors.New("all of -d, -every, -rate, -healthy and -sick must be positive")
	case *record && p.plot != "":
		return p, errors.New("-record draws plots/soak.svg, and nothing elsewhere: leave out -o")
	case *record:
		p.plot = filepath.Join(*dir, "plots", "soak.svg")
	}
	return p, nil
}

// A plan is what a run does.
type plan struct {
	length        time.Duration // of the warm-up, the baseline and the faults
	healthy, sick int
	rate          float64 // broadcasts a second in each room
	seed          uint64
	every         time.Duration // between lines
	plot          string        // file; none if empty

	// Of the server.
	window     time.Duration // for resuming
	ping, pong time.Duration
	writeWait  time.Duration

	// The p99 of healthy peers beside sick ones may be worse by this than when they are alone. Twice is always allowed.
	harm time.Duration
}

func standard() plan {
	return plan{
		length:  10 * time.Minute,
		healthy: 800, sick: 1600,
		rate:   4,
		every:  5 * time.Second,
		window: 3 * time.Second,
		ping:   time.Second, pong: 4 * time.Second,
		writeWait: 2 * time.Second,
		harm:      20 * time.Millisecond,
	}
}

func (p plan) warmUp() time.Duration   { return min(p.length/10, 30*time.Second) }
func (p plan) baseline() time.Duration { return min(p.length/5, time.Minute) }
func (p plan) faults() time.Duration   { return p.length - p.warmUp() - p.baseline() }

const roomSize = 30

func (p plan) rooms() int { return max(1, (p.healthy+p.sick)/roomSize) }
