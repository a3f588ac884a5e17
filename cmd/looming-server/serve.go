package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/server"
)

// logging is how the log looks.
type logging struct{ level, format string }

func (l *logging) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, exit.Usage("--log-level %s: want debug, info, warn or error", l.level)
	}
	o := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, exit.Usage("--log-format %s: want text or json", l.format)
}

func serveCommand(common *settings.Common) *cobra.Command {
	o := server.ServeOptions{}
	log := logging{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve endpoints and admins until interrupted",
		Long: `Serve endpoints and admins until interrupted.

The first start makes what is missing: a certificate authority, a private
Postgres (from the installed binaries, unless --database says where another is),
a volume for packs, and the user "admin", whose password is in
DATA/admin-password. On the same machine loomctl needs no more than
DATA/admin.json, which it finds by itself.

With --output json it prints one document, {"url":...,"ca_fingerprint":...}, as
soon as it serves.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger()
			if err != nil {
				return err
			}
			slog.SetDefault(logger)
			o.Log, o.Version = logger, version()
			o.Ready = func(a server.Address) {
				fmt.Fprintf(cmd.ErrOrStderr(), "Looming serves at %s\nCA fingerprint %s\n", a.URL, a.CAFingerprint)
				if common.Output == settings.JSON {
					_ = json.NewEncoder(cmd.OutOrStdout()).Encode(a) // it serves, whether that is heard or not
				}
			}
			return server.Serve(cmd.Context(), o)
		},
	}
	bindPlaces(cmd, &o)
	log.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", ":8443", "`address` to serve at")
	f.StringArrayVar(&o.Names, "name", nil, "a `host` name or address that endpoints use for this server; can be repeated")
	return cmd
}

// bindPlaces adds the flags that say where things lie.
func bindPlaces(cmd *cobra.Command, o *server.ServeOptions) {
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", settings.ServerData(), "the server's own `directory`")
	f.StringVar(&o.Database, "database", "", "a Postgres to use, as `DSN` with sslmode (default a private one)")
	f.StringArrayVar(&o.Volumes, "volume", nil, "a place for packs, as `URL` or directory; can be repeated (default, as long as there is none: DATA/volume)")
}

func (l *logging) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&l.format, "log-format", "text", "text or json")
}
