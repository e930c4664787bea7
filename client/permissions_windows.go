package client

const unixPermissions = false // access lists of the user's profile folder apply
