package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/settings"
)

// say prints a document: as it is with --output json, else as text says it.
func say[T any](p *program, cmd *cobra.Command, doc json.RawMessage, text func(w io.Writer, v T)) error {
	out := cmd.OutOrStdout()
	if p.Output == settings.JSON {
		_, err := fmt.Fprintf(out, "%s\n", doc)
		return err
	}
	var v T
	if err := json.Unmarshal(doc, &v); err != nil {
		return fmt.Errorf("the server answered with another document than expected: %w", err)
	}
	text(out, v)
	return nil
}

// sayDone prints that something was done for which there is no document.
func sayDone(p *program, cmd *cobra.Command, format string, args ...any) error {
	out := cmd.OutOrStdout()
	if p.Output == settings.JSON {
		_, err := fmt.Fprintln(out, `{"done":true}`)
		return err
	}
	_, err := fmt.Fprintf(out, format+"\n", args...)
	return err
}

// list is how the server answers lists.
type list[T any] struct {
	Items []T   `json:"items"`
	Total int64 `json:"total"`
}

// table prints rows under a head, or that there are none.
func table[T any](w io.Writer, none, head string, rows []T, row func(T) []any) {
	if len(rows) == 0 {
		fmt.Fprintln(w, none)
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(head, " ", "\t"))
	for _, r := range rows {
		cells := row(r)
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, printable(fmt.Sprint(c)))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // stdout is gone if this fails
}

// printable keeps names of strangers from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// ago is how long something is past, or a dash.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanize.Time(t)
}

// percent of a whole, or a dash.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(part)/float64(whole))
}

// short is the beginning of a fingerprint or id, as much as a person compares.
func short(s string, n int) string { return s[:min(n, len(s))] }

// or is s, or a dash.
func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// fields prints names and values below each other.
func fields(w io.Writer, pairs ...any) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(t, "%v\t%s\n", pairs[i], printable(fmt.Sprint(pairs[i+1])))
	}
	_ = t.Flush() // stdout is gone if this fails
}
