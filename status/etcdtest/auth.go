package etcdtest

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Root is the user that may do everything, and RootPassword its password.
const (
	Root         = "root"
	RootPassword = "root's password"
)

// Role is a user who may read and write what begins with Prefix, and nothing
// else.
type Role struct {
	User, Password, Prefix string

	on bool
}

func (s *Server) enableAuth(role Role) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := s.Client()
	end := clientv3.GetPrefixRangeEnd(role.Prefix)
	for _, do := range []func() error{
		func() error { _, err := c.UserAdd(ctx, Root, RootPassword); return err },
		func() error { _, err := c.RoleAdd(ctx, Root); return err },
		func() error { _, err := c.UserGrantRole(ctx, Root, Root); return err },
		func() error { _, err := c.UserAdd(ctx, role.User, role.Password); return err },
		func() error { _, err := c.RoleAdd(ctx, role.User); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, role.User, role.Prefix, end, clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserGrantRole(ctx, role.User, role.User); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil {
			s.t.Fatalf("turning authentication on: %v", err)
		}
	}
	s.opts.role.on = true
	_ = s.client.Close() // the next one logs in
	s.client = nil
}
