//go:build unix

package pgrun

import (
	"maps"
	"slices"
	"strings"
)

// The superuser and the database that Run makes.
const (
	userName = "looming"
	database = "looming"
	port     = "5432" // only a part of the socket's name
)

// settings suit a small machine: little memory, little WAL kept, and everything that makes a crash harmless.
var settings = map[string]string{
	"autovacuum":                          "on",
	"checkpoint_timeout":                  "15min",
	"cluster_name":                        "looming",
	"fsync":                               "on",
	"full_page_writes":                    "on",
	"idle_in_transaction_session_timeout": "10min",
	"jit":                                 "off",
	"log_checkpoints":                     "off",
	"log_directory":                       "../log",
	"log_file_mode":                       "0600",
	"log_filename":                        "postgres-%a.log",
	"log_line_prefix":                     "%m [%p] %u ",
	"log_rotation_age":                    "1d",
	"log_rotation_size":                   "0",
	"log_timezone":                        "UTC",
	"log_truncate_on_rotation":            "on",
	"logging_collector":                   "on",
	"maintenance_work_mem":                "64MB",
	"max_connections":                     "100",
	"max_wal_size":                        "512MB",
	"min_wal_size":                        "32MB",
	"random_page_cost":                    "1.1",
	"shared_buffers":                      "128MB",
	"synchronous_commit":                  "on",
	"timezone":                            "UTC",
	"wal_compression":                     "on",
	"work_mem":                            "8MB",
}

// configuration is looming.conf, which begins with what initdb wrote and ends with what the admin did.
func configuration(extra map[string]string) string {
	all := maps.Clone(settings)
	maps.Copy(all, extra)
	var b strings.Builder
	b.WriteString("# Written by Looming at every start. Your own settings belong into cluster/local.conf, which is read last.\n")
	b.WriteString("include 'cluster/postgresql.conf'\n")
	for _, key := range slices.Sorted(maps.Keys(all)) {
		b.WriteString(key + " = " + quoteSetting(all[key]) + "\n")
	}
	b.WriteString("include_if_exists 'cluster/local.conf'\n")
	return b.String()
}

func quoteSetting(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// dsn is the connection string for a database behind the socket in dir.
func dsn(dir, name string) string {
	return "host=" + quoteDSN(dir) + " port=" + port + " user=" + userName + " dbname=" + name + " sslmode=disable"
}

func quoteDSN(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}
