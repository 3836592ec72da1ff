// Command compose-check says whether Compose accepts a file: the specification's schema, and what names what in it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		if err := load(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// load reads the file with the services of all its profiles.
func load(path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	_, err = options.LoadProject(context.Background())
	return err
}
