package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

type limit struct {
	ID       int64    `json:"id,omitempty"`
	Device   string   `json:"device,omitempty"`
	Subnet   string   `json:"subnet,omitempty"`
	Days     []string `json:"days,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Download int64    `json:"download"`
	Upload   int64    `json:"upload"`
	Demand   bool     `json:"demand"`
}

// who is whom it concerns.
func (l limit) who() string {
	switch {
	case l.Device != "":
		return l.Device
	case l.Subnet != "":
		return l.Subnet
	}
	return "everybody"
}

// when is when it holds.
func (l limit) when() string {
	days, hours := strings.Join(l.Days, ","), "all day"
	if len(l.Days) == 7 {
		days = "daily"
	}
	if l.From != "" {
		hours = l.From + "-" + l.To + " UTC"
	}
	return days + " " + hours
}

// perSecond is a limit for people.
func perSecond(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return size(n) + "/s"
}

func perSecondOf(flag string) (int64, error) {
	n, err := humanize.ParseBytes(flag)
	if err != nil {
		return 0, exit.Usage("%q bytes a second: want a number and a unit, such as 250kB", flag)
	}
	return int64(min(n, 1<<50)), nil
}

func (p *program) limitCommand() *cobra.Command {
	noun := &cobra.Command{
		Use: "limit", Aliases: []string{"limits"}, Short: "Bandwidth limits of devices, subnets, or everybody",
		Long: `Limits bound how many bytes a second a device may fetch in the background, and send in snapshots. The most specific
one that holds counts: a device's before a subnet's, a smaller subnet's before a larger one's, that before everybody's,
and one for fewer hours before one for more. What somebody waits for is not slowed down, unless a limit says --demand.
The least limit is 16KiB a second, and with --demand 64KiB to download: less would keep transfers from going on at all.
Every server process keeps the limits on its own: an endpoint that talks to several at once may have as many times its
limit.`,
	}
	noun.AddCommand(p.limitSet(), p.limitList(), p.limitRemove())
	return noun
}

func (p *program) limitSet() *cobra.Command {
	var l limit
	var down, up, hours string
	cmd := &cobra.Command{
		Use: "set", Short: "Set a limit, in the place of the one for the same at the same time", Args: cobra.NoArgs,
		Example: "  loomctl limit set --subnet 10.7.0.0/16 --days mon,tue,wed,thu,fri --hours 08:00-18:00 --download 250kB",
	}
	f := cmd.Flags()
	f.StringVar(&l.Device, "device", "", "the `name` of the device that it is for")
	f.StringVar(&l.Subnet, "subnet", "", "the `network` that it is for, such as 10.7.0.0/16 (default: everybody)")
	f.StringSliceVar(&l.Days, "days", nil, "the `days` on which it begins, such as mon,tue (default: all)")
	f.StringVar(&hours, "hours", "", "the `time` of the day in UTC, such as 08:00-18:00 (default: all day)")
	f.StringVar(&down, "download", "0", "`bytes` a second, such as 250kB, at least 16KiB, with --demand 64KiB; 0 is no limit")
	f.StringVar(&up, "upload", "0", "`bytes` a second, at least 16KiB; 0 is no limit")
	f.BoolVar(&l.Demand, "demand", false, "also for what somebody waits for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if hours != "" {
			l.From, l.To, _ = strings.Cut(hours, "-")
		}
		var err error
		if l.Download, err = perSecondOf(down); err != nil {
			return err
		}
		if l.Upload, err = perSecondOf(up); err != nil {
			return err
		}
		c, err := p.client()
		if err != nil {
			return err
		}
		doc, err := c.Post(cmd.Context(), api.Path("limits"), l)
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, l limit) {
			fmt.Fprintf(w, "limit %d: %s, %s: download %s, upload %s\n", l.ID, printable(l.who()), l.when(), perSecond(l.Download), perSecond(l.Upload))
		})
	}
	return cmd
}

func (p *program) limitList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the limits", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("limits"), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, l list[limit]) {
				table(w, "no limits", "ID WHO WHEN DOWNLOAD UPLOAD DEMAND", l.Items, func(l limit) []any {
					return []any{l.ID, l.who(), l.when(), perSecond(l.Download), perSecond(l.Upload), l.Demand}
				})
			})
		},
	}
}

func (p *program) limitRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Remove a limit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("limits", args[0])); err != nil {
				return err
			}
			return sayDone(p, cmd, "removed limit %s", args[0])
		},
	}
}
