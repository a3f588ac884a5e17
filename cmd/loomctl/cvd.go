package main

import (
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/loomctl/internal/api"
	"github.com/looming-project/looming/vfs/cvd"
)

type desktop struct {
	Name         string         `json:"name"`
	Owner        string         `json:"owner"`
	Created      time.Time      `json:"created"`
	Snapshots    int            `json:"snapshots"`
	Latest       cvd.SnapshotID `json:"latest"`
	LastSnapshot time.Time      `json:"last_snapshot"`
	LogicalBytes int64          `json:"logical_bytes"`
	StoredBytes  int64          `json:"stored_bytes"`
	UniqueBytes  int64          `json:"unique_bytes"`
	Assigned     []string       `json:"assigned"`
}

func (p *program) cvdCommand() *cobra.Command {
	noun := &cobra.Command{Use: "cvd", Short: "Desktops: what there is, and who may read it", Aliases: []string{"cvds"}}
	noun.AddCommand(p.cvdList(), p.cvdShow(), p.cvdAssign(), p.cvdUnassign(), p.cvdOwn())
	return noun
}

func (p *program) cvdList() *cobra.Command {
	var search string
	cmd := &cobra.Command{Use: "list", Short: "List desktops", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&search, "search", "", "only those with this in the name or the owner's")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client()
		if err != nil {
			return err
		}
		doc, err := c.List(cmd.Context(), api.Path("cvds"), url.Values{"q": {search}})
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, l list[desktop]) {
			table(w, "no desktops", "NAME OWNER SNAPSHOTS LATEST SIZE STORED OWN", l.Items, func(d desktop) []any {
				return []any{d.Name, or(d.Owner), d.Snapshots, ago(d.LastSnapshot), size(d.LogicalBytes), size(d.StoredBytes), size(d.UniqueBytes)}
			})
		})
	}
	return cmd
}

func (p *program) cvdShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CVD", Short: "Show one desktop", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("cvds", args[0]), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, d desktop) {
				latest := "-"
				if !d.Latest.IsZero() {
					latest = d.Latest.String()
				}
				fields(w, "name", d.Name, "owner", or(d.Owner), "assigned to", or(strings.Join(d.Assigned, ", ")), "made", ago(d.Created),
					"snapshots", d.Snapshots, "latest", latest, "taken", ago(d.LastSnapshot), "size", size(d.LogicalBytes),
					"stored", size(d.StoredBytes), "of that its own", size(d.UniqueBytes))
			})
		},
	}
}

func (p *program) cvdAssign() *cobra.Command {
	return &cobra.Command{
		Use: "assign CVD DEVICE", Short: "Let a device read a desktop that is not its own", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if _, err := c.Post(cmd.Context(), api.Path("cvds", args[0], "assign"), map[string]string{"device": args[1]}); err != nil {
				return err
			}
			return sayDone(p, cmd, "%s may read %s", args[1], args[0])
		},
	}
}

func (p *program) cvdUnassign() *cobra.Command {
	return &cobra.Command{
		Use: "unassign CVD DEVICE", Short: "Take that back", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("cvds", args[0], "assign", args[1])); err != nil {
				return err
			}
			return sayDone(p, cmd, "%s may not read %s any more", args[1], args[0])
		},
	}
}

func (p *program) cvdOwn() *cobra.Command {
	return &cobra.Command{
		Use: "own CVD DEVICE", Short: "Give a desktop to a device, which alone may write it", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if _, err := c.Post(cmd.Context(), api.Path("cvds", args[0], "owner"), map[string]string{"device": args[1]}); err != nil {
				return err
			}
			return sayDone(p, cmd, "%s belongs to %s", args[0], args[1])
		},
	}
}

type snapshot struct {
	cvd.Snapshot
	Committed time.Time `json:"committed"`
	NewBytes  int64     `json:"new_bytes"`
}

func (p *program) snapshotCommand() *cobra.Command {
	noun := &cobra.Command{Use: "snapshot", Short: "Snapshots of desktops", Aliases: []string{"snapshots"}}
	noun.AddCommand(&cobra.Command{
		Use: "list CVD", Short: "List the snapshots of a desktop, the newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.List(cmd.Context(), api.Path("cvds", args[0], "snapshots"), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, l list[snapshot]) {
				table(w, "no snapshots", "ID TAKEN DEVICE FILES SIZE NEW UNREADABLE", l.Items, func(s snapshot) []any {
					return []any{s.ID, s.Taken.Local().Format("2006-01-02 15:04:05"), s.Device, s.Files, size(int64(s.Bytes)), size(s.NewBytes), s.Unreadable}
				})
			})
		},
	})
	return noun
}
