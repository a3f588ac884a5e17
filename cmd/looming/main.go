// Command looming is the endpoint: it centralizes a machine's desktop, and shows and streams desktops here.
package main

import "github.com/looming-project/looming/cmd/internal/exit"

func main() { exit.Main(newRoot(kept)) }
