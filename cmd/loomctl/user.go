package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

func (p *program) userCommand() *cobra.Command {
	noun := &cobra.Command{Use: "user", Short: "Admins, who log in to the console", Aliases: []string{"users", "admin"}}
	noun.AddCommand(p.userList(),
		p.userPassword("add NAME", "Add an admin", func(c *api.Client, cmd *cobra.Command, name, password string) error {
			_, err := c.Post(cmd.Context(), api.Path("users"), map[string]string{"name": name, "password": password})
			return err
		}),
		p.userPassword("passwd [NAME]", "Change a password (default that of admin); logins under the old one end",
			func(c *api.Client, cmd *cobra.Command, name, password string) error {
				_, err := c.Put(cmd.Context(), api.Path("users", name, "password"), map[string]string{"password": password})
				return err
			}),
		p.userEndTokens(), p.userRemove())
	return noun
}

func (p *program) userList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List admins", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			doc, err := c.Get(cmd.Context(), api.Path("users"), nil)
			if err != nil {
				return err
			}
			type user struct {
				Name    string    `json:"name"`
				Created time.Time `json:"created"`
			}
			return say(p, cmd, doc, func(w io.Writer, l list[user]) {
				table(w, "no users", "NAME SINCE", l.Items, func(u user) []any { return []any{u.Name, ago(u.Created)} })
			})
		},
	}
}

// userPassword is a command that sets a password: one that is given, or a new random one, which it prints.
func (p *program) userPassword(use, what string, set func(c *api.Client, cmd *cobra.Command, name, password string) error) *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: use, Short: what, Args: cobra.RangeArgs(0, 1)}
	if strings.HasPrefix(use, "add") {
		cmd.Args = cobra.ExactArgs(1)
	}
	cmd.Flags().StringVar(&file, "password-file", "", "`file` with the password, - for stdin (default a random one, which is printed)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := "admin"
		if len(args) > 0 {
			name = args[0]
		}
		password, random, err := readPassword(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		c, err := p.client()
		if err != nil {
			return err
		}
		if err := set(c, cmd, name, password); err != nil {
			return err
		}
		if !random {
			return sayDone(p, cmd, "the password of %s is set", name)
		}
		if p.Output == settings.JSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"done": true, "password": password})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), password)
		return err
	}
	return cmd
}

func readPassword(stdin io.Reader, file string) (password string, random bool, err error) {
	var b []byte
	switch file {
	case "":
		return rand.Text(), true, nil
	case "-":
		b, err = io.ReadAll(io.LimitReader(stdin, 4096))
	default:
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return "", false, fmt.Errorf("the password: %w", err)
	}
	password = strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", false, exit.Usage("the password is empty")
	}
	return password, false, nil
}

func (p *program) userEndTokens() *cobra.Command {
	return &cobra.Command{
		Use: "end-tokens NAME", Short: "End an admin's tokens for programs", Args: cobra.ExactArgs(1),
		Long: "End an admin's tokens for programs.\n\nThat of admin ends the one in the server's admin.json too, which this program uses: the server makes another when it starts again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("users", args[0], "tokens")); err != nil {
				return err
			}
			return sayDone(p, cmd, "ended the tokens of %s", args[0])
		},
	}
}

func (p *program) userRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove an admin with all sessions and tokens", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), api.Path("users", args[0])); err != nil {
				return err
			}
			return sayDone(p, cmd, "removed %s", args[0])
		},
	}
}
