// Package folder is a folder on disk as a catalog, on its owner's side: it finds and hashes
// the files, remembers what it found, and reads blocks of files that are still what they
// were.
//
// [Scan] walks a folder into an [Index]. With the index of the last scan it reads only what
// has changed: a file whose size, time of change and, where the system tells them, inode and
// time of status change are the same keeps its address unread, and so does a file that only
// moved. An Index does not change; Scan and [Index.Describe] give new ones, so that readers
// of the old one need no lock. [Open] and [File.ReadBlock] read a listed file and refuse it
// when it is no longer the one that was hashed.
//
// # Nothing leads out
//
// All access goes through [os.Root]: no symlink and no ".." reaches beyond the folder.
// Symlinks, sockets, devices and pipes are not part of a catalog, and are counted. Hidden
// files are part of it. Left out are Keyhall's own unfinished files ([PartSuffix]), names
// that seal.ValidPath refuses, and files that can't be read or change while they are read;
// each of these is reported with its reason, and none ends the scan.
//
// # The index file
//
// [Index.Save] and [Load] keep an index between runs, in a file of the owner's alone. It
// can always be made again by a scan without a previous index, except for descriptions and
// the revision, which then begins anew. Numbers are varints as in encoding/binary (signed
// ones zigzag), a string is its length as an unsigned varint and its bytes.
//
//	"KHINDEX" and the version, 0x01
//	revision
//	number of types, and each as a string
//	number of entries, and each, in bytewise order of path:
//	    number of bytes the path shares with the path before; the rest of it as a string
//	    size, place of the type among the types
//	    modified (signed, ns since 1970); changed − modified (signed, ns)
//	    device, inode
//	    root, 32 bytes, only with more than one block
//	    leaves, 32 bytes for each block (the root of a single block follows from its leaf)
//	number of descriptions, and each: path and text as strings, in bytewise order of path
//	SHA-256 of everything before, 32 bytes
//
// "changed", device and inode are 0 where the system has none. Descriptions stand apart from
// entries because they outlive them: a file that comes back has its description again.
package folder
