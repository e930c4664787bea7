package cli

import "github.com/spf13/cobra"

// completeCatalog completes the name of an own catalog, as the first argument. It reads
// the profile alone, so that a hub that is away does not hold up the shell.
func (p *program) completeCatalog(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.catalogNames(), cobra.ShellCompDirectiveNoFileComp
}

// completeSecondFile completes file names, as the second argument alone.
func completeSecondFile(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeCatalogs completes names of own catalogs, as every argument.
func (p *program) completeCatalogs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.catalogNames(), cobra.ShellCompDirectiveNoFileComp
}

func (p *program) catalogNames() []cobra.Completion {
	profile, err := p.profile()
	if err != nil {
		return nil
	}
	catalogs, err := profile.Catalogs()
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for _, c := range catalogs {
		names = append(names, c.Name)
	}
	return names
}

// completeFirstFile completes file names, as the first argument alone.
func completeFirstFile(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
