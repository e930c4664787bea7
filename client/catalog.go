package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"keyhall.dev/keyhall/internal/fault"
	"keyhall.dev/keyhall/internal/folder"
	"keyhall.dev/keyhall/trust"
)

// Catalog is a folder that the member can share.
type Catalog struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Dir      string `json:"dir"`
	Entries  int    `json:"entries"`
	Bytes    int64  `json:"bytes"`
	Revision uint64 `json:"revision"`
}

// ScanProgress is how far a scan is: files and bytes that were read.
type ScanProgress struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// ScanReport is what a scan found.
type ScanReport struct {
	Catalog  Catalog  `json:"catalog"`
	Hashed   int      `json:"hashed"`   // files that were read
	Skipped  int      `json:"skipped"`  // files that were left out
	Problems []string `json:"problems"` // why, a line each, for those that could be mended
}

// catalogFile is what the profile keeps of a catalog beside its index.
type catalogFile struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Dir  string `json:"dir"`
}

func catalogPath(id, name string) string { return "catalogs/" + id + "/" + name }

// AddCatalog makes a catalog of the folder dir and scans it.
func (p *Profile) AddCatalog(ctx context.Context, text, dir string, progress func(ScanProgress)) (*ScanReport, error) {
	name, err := trust.Name(text)
	if err != nil {
		return nil, fault.New(fault.Malformed, "the catalog name %q is %w", text, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("add catalog: %w", err)
	}
	if err := p.checkCatalogDir(dir); err != nil {
		return nil, err
	}
	if _, err := p.catalog(name); err == nil {
		return nil, fault.New(fault.Taken, "you have a catalog called %s already", name)
	} else if !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	file := catalogFile{Name: name, ID: trust.NewID(), Dir: dir}
	awaited, err := p.awaited()
	if err != nil {
		return nil, err
	}
	if id := awaited[name]; id != "" {
		file.ID = id // it was shared before this profile was recovered, and still is
	}
	report, err := p.scan(ctx, file, progress)
	if err != nil {
		_ = os.RemoveAll(p.path("catalogs/" + file.ID)) // nothing is half there
		return nil, err
	}
	if err := p.write(catalogPath(file.ID, "catalog.json"), file); err != nil {
		return nil, err
	}
	return report, p.arrived(name)
}

// checkCatalogDir refuses what is no folder, and the profile itself: it holds the keys.
func (p *Profile) checkCatalogDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no folder %s", dir)
	case err != nil:
		return fault.Wrap(fault.Internal, err, "the folder %s cannot be read: %v", dir, errors.Unwrap(err))
	case !info.IsDir():
		return fault.New(fault.Malformed, "%s is not a folder", dir)
	}
	own, err := filepath.EvalSymlinks(p.dir)
	if err != nil {
		return fmt.Errorf("look at profile: %w", err)
	}
	shared, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("look at folder: %w", err)
	}
	if own, err = filepath.Abs(own); err != nil {
		return fmt.Errorf("look at profile: %w", err)
	}
	if within(shared, own) || within(own, shared) {
		return fault.New(fault.Refused, "%s holds your keys or lies beside them (%s); share another folder", dir, p.dir)
	}
	return nil
}

// within reports whether path is dir or lies in it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// Catalogs lists the member's catalogs by name.
func (p *Profile) Catalogs() ([]Catalog, error) {
	files, err := p.catalogFiles()
	if err != nil {
		return nil, err
	}
	catalogs := make([]Catalog, 0, len(files))
	for _, file := range files {
		index, err := p.loadIndex(file.ID)
		if err != nil {
			return nil, err
		}
		catalogs = append(catalogs, describe(file, index))
	}
	return catalogs, nil
}

func describe(file catalogFile, index *folder.Index) Catalog {
	c := Catalog{Name: file.Name, ID: file.ID, Dir: file.Dir, Entries: index.Len(), Revision: index.Revision()}
	for entry := range index.All() {
		c.Bytes += entry.Size
	}
	return c
}

func (p *Profile) catalogFiles() ([]catalogFile, error) {
	folders, err := os.ReadDir(p.path("catalogs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list catalogs: %w", err)
	}
	var files []catalogFile
	for _, one := range folders {
		var file catalogFile
		err := p.read(catalogPath(one.Name(), "catalog.json"), &file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // being added
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b catalogFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// catalog finds one of the member's catalogs by name.
func (p *Profile) catalog(text string) (catalogFile, error) {
	name, err := trust.Name(text)
	if err != nil {
		return catalogFile{}, fault.New(fault.Malformed, "the catalog name %q is %w", text, err)
	}
	files, err := p.catalogFiles()
	if err != nil {
		return catalogFile{}, err
	}
	for _, file := range files {
		if file.Name == name {
			return file, nil
		}
	}
	return catalogFile{}, fault.New(fault.NotFound, "you have no catalog called %s; keyhall catalog list shows yours", name)
}

// RemoveCatalog forgets a catalog that is shared with nobody; its folder stays as it is.
func (p *Profile) RemoveCatalog(name string) error {
	file, err := p.catalog(name)
	if err != nil {
		return err
	}
	var own page
	if err := p.read(pageFile(p.Settings.Account), &own); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for id, g := range own.Shares.Granted {
		if own.Shares.Standing(id, file.ID, g.To, time.Now()) {
			return fault.New(fault.Refused, "%s is still shared; keyhall shares shows with whom, keyhall unshare ends it", file.Name)
		}
	}
	if err := os.RemoveAll(p.path("catalogs/" + file.ID)); err != nil {
		return fmt.Errorf("remove catalog: %w", err)
	}
	return nil
}

// ScanCatalog scans a catalog's folder anew; unchanged files are not read.
func (p *Profile) ScanCatalog(ctx context.Context, name string, progress func(ScanProgress)) (*ScanReport, error) {
	file, err := p.catalog(name)
	if err != nil {
		return nil, err
	}
	return p.scan(ctx, file, progress)
}

func (p *Profile) scan(ctx context.Context, file catalogFile, progress func(ScanProgress)) (*ScanReport, error) {
	report := &ScanReport{Problems: []string{}}
	if err := p.checkCatalogDir(file.Dir); err != nil {
		return nil, err
	}
	err := p.updateIndex(file.ID, func(previous *folder.Index) (*folder.Index, error) {
		options := folder.Options{}
		if progress != nil {
			options.Progress = func(at folder.Progress) { progress(ScanProgress{at.Read, at.ReadBytes}) }
		}
		index, result, err := folder.Scan(ctx, file.Dir, previous, options)
		if err != nil {
			return nil, scanError(file, err)
		}
		report.Catalog, report.Hashed = describe(file, index), result.Hashed
		report.Skipped = result.Symlinks + result.Special + len(result.Skipped)
		for _, skip := range result.Skipped {
			report.Problems = append(report.Problems, fmt.Sprintf("%q left out: %v", skip.Path, skip.Err))
		}
		return index, nil
	})
	return report, err
}

func scanError(file catalogFile, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "the folder %s of catalog %s is gone", file.Dir, file.Name)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the folder %s cannot be scanned: %v", file.Dir, err)
}

// Describe says something about an entry of a catalog; an empty text takes it back.
func (p *Profile) Describe(name, path, text string) error {
	file, err := p.catalog(name)
	if err != nil {
		return err
	}
	return p.updateIndex(file.ID, func(previous *folder.Index) (*folder.Index, error) {
		if previous == nil {
			return nil, fault.New(fault.NotFound, "the catalog %s was not scanned yet; run keyhall catalog scan %s", name, name)
		}
		index, err := previous.Describe(path, text)
		if errors.Is(err, folder.ErrNoEntry) {
			return nil, fault.Wrap(fault.NotFound, err, "the catalog %s has no entry %q", name, path)
		}
		if err != nil {
			return nil, fault.New(fault.Malformed, "that cannot be a description: %w", err)
		}
		return index, nil
	})
}

func (p *Profile) indexPath(id string) string { return p.path(catalogPath(id, "index")) }

// loadIndex reads a catalog's index; an empty one where it is missing or of no use.
func (p *Profile) loadIndex(id string) (*folder.Index, error) {
	index, err := folder.Load(p.indexPath(id))
	if unusable(err) {
		return new(folder.Index), nil
	}
	return index, err
}

// unusable reports whether an index has to be made by a new scan.
func unusable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, folder.ErrDamaged) || errors.Is(err, folder.ErrVersion)
}

// updateIndex replaces a catalog's index by what change makes of it, one process at a
// time. change gets nil where there is no index that can be used.
func (p *Profile) updateIndex(id string, change func(*folder.Index) (*folder.Index, error)) error {
	if err := os.MkdirAll(p.path("catalogs/"+id), 0o700); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	unlock, err := lockedfile.MutexAt(p.path(catalogPath(id, "lock"))).Lock()
	if err != nil {
		return fmt.Errorf("lock index: %w", err)
	}
	defer unlock()
	previous, err := folder.Load(p.indexPath(id))
	if err != nil {
		if !unusable(err) {
			return fmt.Errorf("read index: %w", err)
		}
		previous = nil
	}
	index, err := change(previous)
	if err != nil {
		return err
	}
	if previous != nil && previous.Revision() == index.Revision() && index == previous {
		return nil
	}
	return index.Save(p.indexPath(id))
}
