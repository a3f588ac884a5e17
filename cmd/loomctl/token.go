package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

type enrolToken struct {
	ID            int64     `json:"id"`
	Uses          int       `json:"uses"`
	Created       time.Time `json:"created"`
	Creator       string    `json:"creator"`
	Expires       time.Time `json:"expires"`
	Token         string    `json:"token"`
	CAFingerprint string    `json:"ca_fingerprint"`
	URL           string    `json:"url"`
}

func (p *program) tokenCommand() *cobra.Command {
	noun := &cobra.Command{Use: "token", Short: "Enrolment tokens: they let devices in without approval", Aliases: []string{"tokens"}}
	noun.AddCommand(p.tokenCreate(), p.tokenList(), p.tokenRemove())
	return noun
}

func (p *program) tokenCreate() *cobra.Command {
	var uses int
	var ttl time.Duration
	cmd := &cobra.Command{Use: "create", Short: "Make a token; it is shown this once", Args: cobra.NoArgs}
	cmd.Flags().IntVar(&uses, "uses", 1, "how many devices it lets in")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it is good")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client()
		if err != nil {
			return err
		}
		doc, err := c.Post(cmd.Context(), api.Path("tokens"), map[string]any{"uses": uses, "ttl_seconds": int64(ttl.Seconds())})
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, t enrolToken) {
			fmt.Fprintln(w, t.Token)
			fmt.Fprintf(cmd.ErrOrStderr(), "On the device: looming enroll %s --token %s --ca-fingerprint %s\n", first(t.URL, p.server), t.Token, t.CAFingerprint)
		})
	}
	return cmd
}

func (p *program) tokenList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens that are good", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("tokens"), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, func(w io.Writer, l list[enrolToken]) {
				table(w, "no tokens", "ID USES EXPIRES BY", l.Items, func(t enrolToken) []any {
					return []any{t.ID, t.Uses, ago(t.Expires), t.Creator}
				})
			})
		},
	}
}

func (p *program) tokenRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Make a token useless", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("tokens", args[0])); err != nil {
				return err
			}
			return sayDone(p, cmd, "removed token %s", args[0])
		},
	}
}
