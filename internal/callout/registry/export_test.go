package registry

// For the fuzz targets: what reads bytes of servers and of hosts.
var (
	ReadConnections = func(data []byte, account string) ([]Connection, error) {
		_, found, err := readConnections(data, account)
		return found.list, err
	}
	ReadEvent    = readEvent
	PrivateInbox = privateInbox
	ReadRevoke   = func(data []byte) (RevokeRequest, error) {
		var request RevokeRequest
		if err := readRequest(data, &request); err != nil {
			return request, err
		}
		return request, request.check()
	}
)

// ReconcileNow asks the servers for connections before it is time.
func ReconcileNow(k *Keeper) { k.reconciled() }
