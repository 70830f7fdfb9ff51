/*
 * What Sunstone shows of ours: a tab of a datastore, a tab of a VM, a page with all protected datastores.
 */
window.OneDRModule.define('pages', function (made) {
  'use strict'

  const { React, mui, api, rules, views, tabs, version } = made
  const { DatastorePanel, Failure, usePolled, useZone } = made.panel
  const h = React.createElement
  const { plain } = rules
  const { Facts, Line, Notice, Section, StateChip } = views

  const Frame = (props) =>
    h(
      mui.ThemeProvider,
      { theme: views.readable },
      h(mui.Box, {
        ...props,
        sx: {
          overflow: 'auto',
          height: '100%',
          p: { xs: 1, sm: 2 },
          display: 'grid',
          alignContent: 'start',
          gap: 2,
          gridTemplateColumns: 'minmax(0, 1fr)',
          color: 'text.primary',
        },
      }),
    )

  function DatastoreTab({ data }) {
    const datastore = rules.many((data || {}).selected)[0]
    if (!datastore) return null
    return h(
      Frame,
      { 'data-cy': 'onedr-datastore' },
      rules.isProtected(datastore)
        ? h(DatastorePanel, { id: datastore.ID, key: datastore.ID })
        : h(
            Line,
            null,
            'This datastore is not protected. onedr enable ' + plain(datastore.NAME) + ' begins that.',
          ),
    )
  }

  // -- a VM -------------------------------------------------------------------------------------------------

  const ROWS = (row, now, objective) => [
    [
      'Recovery point',
      views.pointText({ recovery_point: row.recovery_point, objective_s: objective }, now),
      'onedr-vm-point',
    ],
    ['Lost at most', rules.loss(row), 'onedr-vm-loss'],
    [
      'At the other site',
      rules.many(row.obstacles).length
        ? 'cannot start: ' + row.obstacles.map(plain).join('; ')
        : row.starts
          ? 'starts, priority ' + plain(row.priority)
          : 'is created, not started',
      'onedr-vm-starts',
    ],
    ['To know', rules.many(row.warnings).map(plain).join('; ')],
    [
      'Rehearsed',
      row.rehearsed
        ? [
            plain(row.rehearsed.result),
            rules.moment(row.rehearsed.at),
            plain(row.rehearsed.why),
            ...rules.many(row.rehearsed.differences).map(plain),
          ]
            .filter(Boolean)
            .join('; ')
        : 'not yet',
      'onedr-vm-rehearsed',
    ],
  ]

  function VmOfDatastore({ id, vm, zone }) {
    const { data: found, error } = usePolled(
      () => api.datastore(id, zone || ''),
      () => false,
    )
    if (!found) return error ? h(Failure, { error }) : h(Line, { role: 'status' }, 'Loading…')
    const status = found.status
    const row = status && rules.rowOf(status, vm)
    if (!rules.isProtected(found.datastore))
      return h(Line, null, 'Datastore ' + plain(found.datastore.NAME) + ' is not protected.')
    return h(
      Section,
      { title: 'In datastore ' + plain(found.datastore.NAME) },
      h(Failure, { error, stale: true }),
      found.problem && h(Notice, { severity: 'info' }, plain(found.problem)),
      row
        ? h(Facts, { rows: ROWS(row, found.now, status.objective_s) })
        : status &&
            h(
              Line,
              null,
              'This VM is not among the ' +
                rules.many(status.vms.rows).length +
                ' of ' +
                status.vms.total +
                ' VMs that are listed. onedr status --vm ' +
                plain(vm.ID) +
                ' shows it.',
            ),
    )
  }

  function VmTab({ data }) {
    const vm = (data || {}).selectedVm || {}
    const zone = useZone()
    const own = vm.USER_TEMPLATE || {}
    const ids = rules.datastoresOf(vm)
    return h(
      Frame,
      { 'data-cy': 'onedr-vm' },
      h(
        mui.Box,
        { sx: { display: 'flex', gap: 1 } },
        h(StateChip, { state: plain(own.DR_STATE) || 'UNPROTECTED' }),
      ),
      h(Facts, {
        rows: [
          ['Recovery point', plain(own.DR_RECOVERY_POINT)],
          ['Priority', plain(own.DR_PRIORITY) || '3, as no DR_PRIORITY is set'],
          ['Left out', String(own.DR_PROTECT).toUpperCase() === 'NO' ? 'yes: DR_PROTECT=NO' : ''],
          [
            'After a failover',
            String(own.DR_START).toUpperCase() === 'NO' ? 'is not started: DR_START=NO' : '',
          ],
          [
            'Came from',
            own.DR_ORIGIN_SITE ? 'VM ' + plain(own.DR_ORIGIN_VM) + ' at ' + plain(own.DR_ORIGIN_SITE) : '',
          ],
        ],
      }),
      ids.map((id) => h(VmOfDatastore, { key: id + '/' + zone, id, vm, zone })),
      ids.length === 0 && h(Line, null, 'This VM has no disk in a datastore.'),
    )
  }

  // -- the page ---------------------------------------------------------------------------------------------

  function Row({ datastore, now, open, toggle }) {
    const shown = rules.fromAttributes(datastore)
    return h(
      mui.Paper,
      { variant: 'outlined', sx: { p: 2 }, 'data-cy': 'onedr-row-' + plain(datastore.ID) },
      h(
        mui.Box,
        {
          component: 'button',
          type: 'button',
          onClick: toggle,
          'aria-expanded': open,
          sx: {
            all: 'unset',
            cursor: 'pointer',
            display: 'flex',
            flexWrap: 'wrap',
            gap: 1,
            alignItems: 'center',
            width: '100%',
            color: 'text.primary',
            '&:focus-visible': { outline: '2px solid', outlineColor: 'primary.main' },
          },
        },
        h(StateChip, { state: shown.state }),
        h(
          Line,
          { component: 'span', sx: { fontWeight: 600 } },
          plain(datastore.NAME) + ' (' + plain(datastore.ID) + ')',
        ),
        h(
          Line,
          { component: 'span', sx: { color: 'text.secondary' } },
          [
            shown.role,
            rules.known(shown.total) ? shown.protected + '/' + shown.total + ' protected' : '',
            rules.known(shown.recovery_point)
              ? 'recovery point ' + rules.age(shown.recovery_point, null, now).text
              : '',
            shown.progress,
          ]
            .filter(Boolean)
            .join(' · '),
        ),
      ),
      open
        ? h(mui.Box, { sx: { mt: 2 } }, h(DatastorePanel, { id: datastore.ID }))
        : h(Line, { sx: { mt: 1 } }, shown.message),
    )
  }

  const tabsText = () =>
    tabs.datastore && tabs.vm
      ? 'Each datastore and VM has the tab Disaster Recovery too.'
      : 'Details of datastores and VMs have no tab of OneDR here (Sunstone 7.4 has it): ' + tabs.why + '.'

  function DisasterRecovery() {
    const zone = useZone()
    return h(PageOfZone, { key: String(zone), zone })
  }

  function PageOfZone({ zone }) {
    const [open, setOpen] = React.useState(null)
    const { data: found, error } = usePolled(
      () => api.datastores(zone || ''),
      () => false,
    )
    return h(
      Frame,
      { 'data-cy': 'onedr-page' },
      h(
        mui.Typography,
        { variant: 'h5', component: 'h1', sx: { color: 'text.primary' } },
        'Disaster Recovery',
      ),
      h(Failure, { error, stale: Boolean(found) }),
      !found && !error && h(Line, { role: 'status' }, 'Loading…'),
      found &&
        found.datastores.length === 0 &&
        h(
          Line,
          { 'data-cy': 'onedr-none' },
          'No datastore is protected. onedr enable DATASTORE begins that.',
        ),
      found &&
        found.datastores.map((datastore) =>
          h(Row, {
            key: datastore.ID,
            datastore,
            now: found.now,
            open: open === datastore.ID,
            toggle: () => setOpen(open === datastore.ID ? null : datastore.ID),
          }),
        ),
      h(
        Line,
        { sx: { color: 'text.secondary' }, 'data-cy': 'onedr-about' },
        'OneDR, scripts ' + plain(version) + '. ' + tabsText(),
      ),
    )
  }

  return { DatastoreTab, DisasterRecovery, VmTab }
})
