package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
	"github.com/looming-project/looming/vfs/wire"
)

type stats struct {
	Endpoints             int64  `json:"endpoints"`
	Online                int64  `json:"online"`
	Pending               int64  `json:"pending"`
	Streams               int64  `json:"streams"`
	Uploads               int64  `json:"uploads"`
	Desktops              int64  `json:"desktops"`
	Snapshots             int64  `json:"snapshots"`
	LogicalBytes          int64  `json:"logical_bytes"`
	StoredBytes           int64  `json:"stored_bytes"`
	DedupSavedBytes       int64  `json:"dedup_saved_bytes"`
	CompressionSavedBytes int64  `json:"compression_saved_bytes"`
	PackBytes             int64  `json:"pack_bytes"`
	Packs                 int64  `json:"packs"`
	Version               string `json:"version"`
}

func (p *program) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "What there is, what it costs, what was saved", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("stats"), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, s stats) {
				fields(w, "endpoints", fmt.Sprintf("%d, %d online, %d waiting for approval", s.Endpoints, s.Online, s.Pending),
					"under way", fmt.Sprintf("%d streams, %d uploads", s.Streams, s.Uploads),
					"desktops", fmt.Sprintf("%d with %d snapshots", s.Desktops, s.Snapshots),
					"as files", size(s.LogicalBytes), "stored", size(s.StoredBytes)+" ("+percent(s.StoredBytes, s.LogicalBytes)+")",
					"saved", size(s.DedupSavedBytes)+" by deduplication, "+size(s.CompressionSavedBytes)+" by compression",
					"packs", fmt.Sprintf("%d, %s", s.Packs, size(s.PackBytes)), "server", s.Version)
			})
		},
	}
}

type report struct {
	Packs        int   `json:"packs"`
	Chunks       int   `json:"chunks"`
	Bytes        int64 `json:"bytes"`
	Healed       int   `json:"healed"`
	DamagedCount int   `json:"damaged_count"`
	FileCount    int   `json:"file_count"`
	Damaged      []struct {
		ID   string `json:"id"`
		Pack string `json:"pack"`
		Why  string `json:"why"`
	} `json:"damaged"`
	Files []struct {
		CVD      string `json:"cvd"`
		Snapshot string `json:"snapshot"`
		Path     string `json:"path"`
	} `json:"files"`
	Unreadable []struct {
		Pack string `json:"pack"`
		Why  string `json:"why"`
	} `json:"unreadable"`
}

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read all packs again: what is damaged, and which files it touches", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Post(cmd.Context(), api.Path("verify"), nil)
			if err != nil {
				return err
			}
			if err := say(p, cmd, doc, showReport); err != nil {
				return err
			}
			return verdict(doc)
		},
	}
}

func showReport(w io.Writer, r report) {
	fmt.Fprintf(w, "read %d packs with %d chunks, %s; %d damaged, %d healed\n", r.Packs, r.Chunks, size(r.Bytes), r.DamagedCount, r.Healed)
	for _, u := range r.Unreadable {
		fmt.Fprintf(w, "pack %s could not be read: %s\n", u.Pack, printable(u.Why))
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(w, "chunk %s in pack %s: %s\n", short(d.ID, 16), d.Pack, printable(d.Why))
	}
	for _, f := range r.Files {
		fmt.Fprintf(w, "touches %s in snapshot %s of %s\n", printable(f.Path), f.Snapshot, printable(f.CVD))
	}
	if more := r.FileCount - len(r.Files); more > 0 {
		fmt.Fprintf(w, "and %d more files\n", more)
	}
}

// verdict is the exit code of what was found and told.
func verdict(doc json.RawMessage) error {
	var r report
	if err := json.Unmarshal(doc, &r); err != nil {
		return err
	}
	switch {
	case r.DamagedCount > 0:
		return exit.Reported(fmt.Errorf("%w: %d chunks are damaged", wire.ErrIntegrity, r.DamagedCount))
	case len(r.Unreadable) > 0:
		return exit.Reported(fmt.Errorf("%w: %d packs could not be read", exit.ErrPart, len(r.Unreadable)))
	}
	return nil
}

type auditRow struct {
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Address string    `json:"address"`
	What    string    `json:"what"`
	Subject string    `json:"subject"`
	Refused bool      `json:"refused"`
	Reason  string    `json:"reason"`
}

func (p *program) auditCommand() *cobra.Command {
	noun := &cobra.Command{Use: "audit", Short: "Who did what, and who was refused"}
	limit := 100
	cmd := &cobra.Command{
		Use: "list", Short: "List the latest entries, the newest first", Args: cobra.NoArgs,
		Long: `List the latest entries, the newest first.

Who is refused and asks again the same way is written down once a minute; all
refusals are counted at the server's /metrics.`,
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client()
		if err != nil {
			return err
		}
		doc, err := c.Get(cmd.Context(), api.Path("audit"), url.Values{"limit": {strconv.Itoa(limit)}})
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, l list[auditRow]) {
			table(w, "nothing", "AT WHO FROM OUTCOME WHAT SUBJECT REASON", l.Items, func(a auditRow) []any {
				outcome := "done"
				if a.Refused {
					outcome = "refused"
				}
				return []any{a.At.Local().Format("2006-01-02 15:04:05"), a.Who, or(a.Address), outcome, a.What, or(a.Subject), or(a.Reason)}
			})
		})
	}
	noun.AddCommand(cmd)
	return noun
}
