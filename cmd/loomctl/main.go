// Command loomctl is the admins' tool: all that the console shows and more, by the same API.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/cmd/loomctl/internal/api"
)

func main() { exit.Main(command()) }

// program is what all commands share.
type program struct {
	settings.Common
	server, token, tokenFile, ca string
}

func command() *cobra.Command {
	p := &program{}
	root := &cobra.Command{
		Use:   "loomctl",
		Short: "Administers a Looming server",
		Long: `Administers a Looming server.

On the server's own machine it needs no settings: it finds the address, a token
and the CA in admin.json of the server's data directory. Elsewhere, copy that
file and name it with --config, or give --server, --token-file and --ca.`,
		Version: version(),
	}
	settings.Bind(root, &p.Common, accessFile())
	f := root.PersistentFlags()
	f.StringVar(&p.server, "server", "", "`URL` of the server")
	f.StringVar(&p.tokenFile, "token-file", "", "`file` with the token of an admin")
	f.StringVar(&p.token, "token", "", "the token itself: better in admin.json or LOOMING_TOKEN than on the command line")
	f.StringVar(&p.ca, "ca", "", "`file` with the CA's certificate in PEM (default the system's authorities)")
	_ = f.MarkHidden("token") // it exists
	root.AddCommand(p.deviceCommand(), p.tokenCommand(), p.cvdCommand(), p.snapshotCommand(), p.streamCommand(),
		p.volumeCommand(), p.statsCommand(), p.verifyCommand(), p.userCommand(), p.auditCommand(), p.limitCommand())
	return root
}

// accessFile is where a server on this machine leaves what loomctl needs.
func accessFile() string {
	data := os.Getenv("LOOMING_DATA")
	if data == "" {
		data = settings.ServerData()
	}
	return filepath.Join(data, "admin.json")
}

// client connects to the server of the settings.
func (p *program) client() (*api.Client, error) {
	if p.server == "" {
		return nil, exit.Usage("say which server, with --server, or --config and its admin.json (there is none in %s)", filepath.Dir(accessFile()))
	}
	token := p.token
	if p.tokenFile != "" {
		b, err := os.ReadFile(p.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("the token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token == "" {
		return nil, exit.Usage("say who asks, with --token-file, or --config and an admin.json")
	}
	ca, err := p.authority()
	if err != nil {
		return nil, err
	}
	return api.New(api.Options{Server: p.server, Token: token, CA: ca})
}

// authority is the CA in PEM: admin.json has it as it is, the flag names a file.
func (p *program) authority() ([]byte, error) {
	if p.ca == "" || strings.HasPrefix(p.ca, "-----BEGIN") {
		return []byte(p.ca), nil
	}
	b, err := os.ReadFile(p.ca)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the CA: %w: get it from the server's admin.json", err)
	}
	return b, err
}

// version is the module's, or the commit's.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
