package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

// live is what the console's overview shows.
type live struct {
	Streams []struct {
		Device         string `json:"device"`
		CVD            string `json:"cvd"`
		Target         string `json:"target"`
		Phase          string `json:"phase"`
		Message        string `json:"message"`
		StartDone      int64  `json:"start_done"`
		StartTotal     int64  `json:"start_total"`
		BytesDone      int64  `json:"bytes_done"`
		BytesTotal     int64  `json:"bytes_total"`
		DemandCount    int64  `json:"demand_count"`
		Current        string `json:"current"`
		BytesPerSecond int64  `json:"bytes_per_second"`
		ETASeconds     *int64 `json:"eta_seconds"`
	} `json:"streams"`
	Uploads []struct {
		Device         string `json:"device"`
		CVD            string `json:"cvd"`
		Phase          string `json:"phase"`
		Message        string `json:"message"`
		FilesDone      int64  `json:"files_done"`
		BytesRead      int64  `json:"bytes_read"`
		BytesSent      int64  `json:"bytes_sent"`
		BytesPerSecond int64  `json:"bytes_per_second"`
		Current        string `json:"current"`
	} `json:"uploads"`
}

// watchEvery is how often --watch looks.
const watchEvery = 2 * time.Second

func (p *program) streamCommand() *cobra.Command {
	noun := &cobra.Command{Use: "stream", Short: "What goes on: desktops coming to endpoints, and snapshots being made", Aliases: []string{"streams"}}
	var watch bool
	cmd := &cobra.Command{
		Use: "list", Short: "List streams and uploads", Args: cobra.NoArgs,
		Long: `List streams and uploads, as the console shows them.

With --watch it goes on until it is interrupted; with --output json it then
prints one document a line.`,
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until interrupted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client()
		if err != nil {
			return err
		}
		for {
			if err := p.showStreams(cmd, c, watch); err != nil || !watch {
				return err
			}
			if err := wait(cmd.Context(), watchEvery); err != nil {
				return err
			}
		}
	}
	noun.AddCommand(cmd)
	return noun
}

func (p *program) showStreams(cmd *cobra.Command, c *api.Client, watch bool) error {
	doc, err := c.Get(cmd.Context(), api.Path("streams"), nil)
	if err != nil {
		return err
	}
	if watch && p.Output == settings.Text {
		fmt.Fprintf(cmd.OutOrStdout(), "--- %s\n", time.Now().Format("15:04:05"))
	}
	return say(p, cmd, doc, showLive)
}

func showLive(w io.Writer, l live) {
	if len(l.Streams) == 0 && len(l.Uploads) == 0 {
		fmt.Fprintln(w, "nothing goes on")
		return
	}
	if len(l.Streams) > 0 {
		t := make([][]any, 0, len(l.Streams))
		for _, s := range l.Streams {
			eta := "-"
			if s.ETASeconds != nil {
				eta = (time.Duration(*s.ETASeconds) * time.Second).String()
			}
			t = append(t, []any{
				s.Device, s.CVD, s.Phase, percent(s.StartDone, s.StartTotal), percent(s.BytesDone, s.BytesTotal),
				size(s.BytesDone) + "/" + size(s.BytesTotal), size(s.BytesPerSecond) + "/s", eta, s.DemandCount, first(s.Message, s.Current),
			})
		}
		table(w, "", "STREAM CVD PHASE START WHOLE BYTES RATE ETA WAITED NOW", t, func(r []any) []any { return r })
	}
	if len(l.Uploads) > 0 {
		t := make([][]any, 0, len(l.Uploads))
		for _, u := range l.Uploads {
			t = append(t, []any{u.Device, u.CVD, u.Phase, u.FilesDone, size(u.BytesRead), size(u.BytesSent), size(u.BytesPerSecond) + "/s", first(u.Message, u.Current)})
		}
		table(w, "", "UPLOAD CVD PHASE ENTRIES READ SENT RATE NOW", t, func(r []any) []any { return r })
	}
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return "-"
}

// wait is an error if ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
