package main

import (
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

type device struct {
	Name        string    `json:"name"`
	Host        string    `json:"host"`
	OS          string    `json:"os"`
	State       string    `json:"state"`
	Online      bool      `json:"online"`
	Fingerprint string    `json:"fingerprint"`
	Address     string    `json:"address"`
	Created     time.Time `json:"created"`
	LastSeen    time.Time `json:"last_seen"`
	ApprovedAt  time.Time `json:"approved_at"`
	ApprovedBy  string    `json:"approved_by"`
	Activity    string    `json:"activity"`
}

func (p *program) deviceCommand() *cobra.Command {
	noun := &cobra.Command{Use: "device", Short: "Endpoints: who waits, who may come in", Aliases: []string{"devices"}}
	noun.AddCommand(p.deviceList(), p.deviceShow(), p.deviceApprove(),
		p.deviceChange("revoke", "Shut a device out for good, at once", "revoked %s: it is refused from now on"), p.deviceRemove())
	return noun
}

func (p *program) deviceList() *cobra.Command {
	var state, search string
	cmd := &cobra.Command{Use: "list", Short: "List devices", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&state, "state", "", "only those that are pending, approved or revoked")
	cmd.Flags().StringVar(&search, "search", "", "only those with this in name, host, address or system")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if state != "" && state != "pending" && state != "approved" && state != "revoked" {
			return exit.Usage("--state %s: the states are pending, approved, revoked", state)
		}
		c, err := p.client()
		if err != nil {
			return err
		}
		doc, err := c.List(cmd.Context(), api.Path("devices"), url.Values{"state": {state}, "q": {search}})
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, l list[device]) {
			table(w, "no devices", "NAME STATE ONLINE HOST ADDRESS SYSTEM SEEN ACTIVITY KEY", l.Items, func(d device) []any {
				online := "no"
				if d.Online {
					online = "yes"
				}
				return []any{d.Name, d.State, online, or(d.Host), or(d.Address), or(d.OS), ago(d.LastSeen), or(d.Activity), short(d.Fingerprint, 16)}
			})
		})
	}
	return cmd
}

func showDevice(w io.Writer, d device) {
	fields(w, "name", d.Name, "state", d.State, "key", d.Fingerprint, "host", or(d.Host), "system", or(d.OS), "address", or(d.Address),
		"asked in", ago(d.Created), "last seen", ago(d.LastSeen), "approved", ago(d.ApprovedAt), "approved by", or(d.ApprovedBy), "activity", or(d.Activity))
}

func (p *program) deviceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one device", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("devices", args[0]), nil)
			if err != nil {
				return err
			}
			return say(p, cmd, doc, showDevice)
		},
	}
}

func (p *program) deviceApprove() *cobra.Command {
	cmd := p.deviceChange("approve", "Let a device in", "approved %s")
	cmd.Long = `Let a device in.

Compare its key with what the device prints when it enrols; with --fingerprint
it is refused unless the key is that one.`
	return cmd
}

func (p *program) deviceChange(verb, what, told string) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{Use: verb + " NAME", Short: what, Args: cobra.ExactArgs(1)}
	if verb == "approve" {
		cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "the SHA-256 of its key, in `hex`, that it must have")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.client()
		if err != nil {
			return err
		}
		var body any
		if fingerprint != "" {
			body = map[string]string{"fingerprint": fingerprint}
		}
		doc, err := c.Post(cmd.Context(), api.Path("devices", args[0], verb), body)
		if err != nil {
			return err
		}
		return say(p, cmd, doc, func(w io.Writer, d device) { fmt.Fprintf(w, told+"\n", d.Name) })
	}
	return cmd
}

func (p *program) deviceRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Forget a device; its desktops stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("devices", args[0])); err != nil {
				return err
			}
			return sayDone(p, cmd, "removed %s", args[0])
		},
	}
}
