package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

const (
	ours  = "wspulse"
	basis = "chat"
)

// Render writes RESULTS.md and the plots into a directory. What why.md there says under the name of a scenario goes into
// the section on where wspulse is not the best.
func (r *Results) Render(dir string) error {
	why, err := readWhy(filepath.Join(dir, "why.md"))
	if err != nil {
		return err
	}
	plots, err := r.plot(filepath.Join(dir, "plots"))
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# Results\n\nWritten by the program in this directory; `make bench-record` in the root measures all of it anew.\n\n")
	r.header(&b)
	for _, p := range plots {
		fmt.Fprintf(&b, "![%s](plots/%s)\n\n", p.title, p.file)
	}
	r.scenarios(&b)
	r.shortcomings(&b, why)
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644)
}

// Print writes the tables.
func (r *Results) Print(w io.Writer) error {
	var b strings.Builder
	r.header(&b)
	r.scenarios(&b)
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func (r *Results) scenarios(b *strings.Builder) {
	for _, s := range bench.Scenarios(r.Plan) {
		r.scenario(b, s)
	}
}

func (r *Results) header(b *strings.Builder) {
	fmt.Fprintf(b, "Machine: %v. Server and load generator share the cores, over 127.0.0.1.\n\n", r.Machine)
	fmt.Fprintf(b, "Each figure is the median of up to %d interleaved rounds of %v, or of as many as stand above its table, with the range in brackets. × is the median of the ratios to %s "+
		"of the same round. Server CPU, user and system, is the steadiest figure; rates depend on the load generator too. Every delivery was counted and its order "+
		"checked; a measurement with a loss is shown as failed. Every connection may queue %d messages, buffers are %d bytes, compression is off, heartbeats are %v apart. Deliveries a write are by system calls.\n\n",
		r.Plan.Rounds, r.Plan.Duration, basis, r.Plan.Queue, peers.BufferSize, r.Plan.Ping)
	if r.mixed() {
		b.WriteString("A ratio with ~ before it is that of the medians of two runs, which have no round in common.\n\n")
	}
	b.WriteString("| server | version | how it is used, and what it sends |\n|---|---|---|\n")
	for _, e := range r.peers() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", e.Name, cmp.Or(r.Versions[e.Module], "–"), e.About)
	}
	b.WriteString("\n")
}

func (r *Results) scenario(b *strings.Builder, s bench.Scenario) {
	measured := false
	for _, c := range s.Cases {
		for _, e := range r.peers() {
			measured = measured || r.find(s.Name, c.Name, e.Name).Rounds != nil
		}
	}
	if !measured {
		return
	}
	fmt.Fprintf(b, "## %s\n\n%s\n\n", s.Name, r.about(s))
	for _, c := range s.Cases {
		r.table(b, s, c)
	}
	for _, e := range r.peers() {
		if reason := e.Cannot[s.Name]; reason != "" {
			fmt.Fprintf(b, "n/a: %s, because %s.\n", e.Name, reason)
		}
		if note := e.Notes[s.Name]; note != "" {
			fmt.Fprintf(b, "%s: %s.\n", e.Name, note)
		}
	}
	b.WriteString("\n")
}

// about says what a scenario is, and what those of its columns are that there are figures for.
func (r *Results) about(s bench.Scenario) string {
	text := s.About
	for _, column := range s.Columns {
		if column.About != "" && slices.ContainsFunc(s.Cases, func(c bench.Case) bool { return slices.Contains(r.present(s, c), column) }) {
			text += " " + column.About
		}
	}
	return text
}

// table writes a table with a row for each peer.
func (r *Results) table(b *strings.Builder, s bench.Scenario, c bench.Case) {
	columns := r.present(s, c)
	fmt.Fprintf(b, "### %s, %s\n\n", s.Name, c.Name)
	if n := len(r.find(s.Name, c.Name, ours).Rounds); n > r.Plan.Rounds {
		fmt.Fprintf(b, "%d rounds.\n\n", n)
	}
	b.WriteString("| server |")
	for _, column := range columns {
		fmt.Fprintf(b, " %s |", column.Title)
		if !column.Info {
			b.WriteString(" × |")
		}
	}
	b.WriteString("\n|---|")
	for _, column := range columns {
		b.WriteString("--:|")
		if !column.Info {
			b.WriteString("--:|")
		}
	}
	b.WriteString("\n")
	base := r.find(s.Name, c.Name, basis)
	for _, e := range r.peers() {
		series := r.find(s.Name, c.Name, e.Name)
		if series.Rounds == nil {
			continue
		}
		fmt.Fprintf(b, "| %s |", emphasize(e))
		for _, column := range columns {
			fmt.Fprintf(b, " %s |", values(series.Rounds, column.Key))
			if !column.Info {
				fmt.Fprintf(b, " %s |", ratio(series, base, column.Key))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, e := range r.peers() {
		series := r.find(s.Name, c.Name, e.Name)
		for _, text := range []string{failure(series.Rounds), series.Apart} {
			if text != "" {
				fmt.Fprintf(b, "%s: %s\n\n", e.Name, text)
			}
		}
	}
}

// present returns the columns that have a figure in this case.
func (r *Results) present(s bench.Scenario, c bench.Case) (columns []bench.Column) {
	for _, column := range s.Columns {
		for _, e := range r.peers() {
			if len(values(r.find(s.Name, c.Name, e.Name).Rounds, column.Key)) > 0 {
				columns = append(columns, column)
				break
			}
		}
	}
	return columns
}

func emphasize(e peers.Entry) string {
	if e.Name == ours {
		return "**" + e.Name + "**"
	}
	return e.Name
}

func ratio(of, base bench.Series, key string) string {
	s := ratios(of, base, key)
	switch {
	case len(s) == 0:
		return "–"
	case of.Run != base.Run:
		return fmt.Sprintf("~%.2f", s.median())
	}
	return fmt.Sprintf("%.2f", s.median())
}

func failure(rounds []bench.Round) string {
	failed, reason := 0, ""
	for _, r := range rounds {
		if r.Error != "" {
			failed, reason = failed+1, r.Error
		}
	}
	if failed == 0 {
		return ""
	}
	return fmt.Sprintf("failed %d of %d: %s", failed, len(rounds), reason)
}

// readWhy returns the paragraphs of a file by the heading, "## name", that they stand under.
func readWhy(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	why := make(map[string]string)
	for section := range strings.SplitSeq("\n"+string(data), "\n## ") {
		name, text, _ := strings.Cut(section, "\n")
		why[strings.TrimSpace(name)] = strings.TrimSpace(text)
	}
	delete(why, "")
	return why, nil
}
