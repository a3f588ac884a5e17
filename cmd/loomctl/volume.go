package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
	"github.com/looming-project/looming/vfs/wire"
)

type volume struct {
	ID      string `json:"id"`
	URL     string `json:"url"`
	Free    int64  `json:"free"`
	Total   int64  `json:"total"`
	Packs   int64  `json:"packs"`
	Bytes   int64  `json:"bytes"`
	Problem string `json:"problem"`
	Drained bool   `json:"drained"`
}

func (v volume) state() string {
	if v.Problem == "" && v.Drained {
		return "drained"
	}
	return first(v.Problem, "well")
}

func (p *program) volumeCommand() *cobra.Command {
	noun := &cobra.Command{Use: "volume", Short: "Places for packs", Aliases: []string{"volumes"}}
	noun.AddCommand(p.volumeList(), p.volumeAdd(),
		p.volumeChange("drain VOLUME", "Keep new packs away from a volume", `Keep new packs away from a volume, which is named by its URL or id.

What lies there is read as before. To have it take packs again, add it again.`,
			"%s takes no new packs", func(ctx context.Context, c *api.Client, v volume) error {
				_, err := c.Post(ctx, api.Path("volumes", v.ID, "drain"), nil)
				return err
			}),
		p.volumeChange("remove VOLUME", "Forget a volume that holds no packs", `Forget a volume that holds no packs, which is named by its URL or id.

The directory stays. A volume that the server is started with by --volume comes
back when it starts again.`,
			"removed %s", func(ctx context.Context, c *api.Client, v volume) error {
				return c.Delete(ctx, api.Path("volumes", v.ID))
			}))
	return noun
}

func (p *program) volumeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List volumes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("volumes"), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, l list[volume]) {
				table(w, "no volumes", "VOLUME PACKS USED FREE OF STATE", l.Items, func(v volume) []any {
					return []any{v.URL, v.Packs, size(v.Bytes), size(v.Free), size(v.Total), v.state()}
				})
			})
		},
	}
}

func (p *program) volumeAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add URL", Short: "Add a place for packs: a directory, as the server sees it", Args: cobra.ExactArgs(1),
		Long: `Add a place for packs: a directory that the server has, by its absolute path or
as file:///path. It must be empty, or a volume already. One that was drained
takes packs again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !filepath.IsAbs(args[0]) && !strings.Contains(args[0], "://") {
				return exit.Usage("%q: want an absolute path on the server, or a URL", args[0])
			}
			c, err := p.client()
			if err != nil {
				return err
			}
			if _, err := c.Post(cmd.Context(), api.Path("volumes"), map[string]string{"url": args[0]}); err != nil {
				return err
			}
			return sayDone(p, cmd, "added %s", args[0])
		},
	}
}

// volumeChange is a command that does something to one volume.
func (p *program) volumeChange(use, what, more, told string, change func(context.Context, *api.Client, volume) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: what, Long: more, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			v, err := findVolume(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := change(cmd.Context(), c, v); err != nil {
				return err
			}
			return sayDone(p, cmd, told, v.URL)
		},
	}
}

// findVolume finds a volume by its URL or id.
func findVolume(ctx context.Context, c *api.Client, name string) (volume, error) {
	doc, err := c.Get(ctx, api.Path("volumes"), nil)
	if err != nil {
		return volume{}, err
	}
	var l list[volume]
	if err := json.Unmarshal(doc, &l); err != nil {
		return volume{}, fmt.Errorf("the server answered with another document than expected: %w", err)
	}
	for _, v := range l.Items {
		if v.URL == name || v.ID == name {
			return v, nil
		}
	}
	return volume{}, fmt.Errorf("volume %q: %w: loomctl volume list says what there is", name, wire.ErrNotFound)
}
