/*
 * Tables: VMs, what is not protected, past runs, the steps and VMs of a plan. On a phone they become lists.
 */
window.OneDRModule.define('tables', function (made) {
  'use strict'

  const { React, mui, rules, views } = made
  const h = React.createElement
  const { plain } = rules
  const { Line, Section } = views

  // `columns`: [title, cell of a row, is it short]. Where there is little room a row is a block, with titles
  // before its values.
  function Table({ columns, rows, ...rest }) {
    const narrow = { xs: 'none', md: 'table-cell' }
    return h(
      mui.Table,
      { size: 'small', ...rest, sx: { display: { xs: 'block', md: 'table' } } },
      h(
        mui.TableHead,
        { sx: { display: { xs: 'none', md: 'table-header-group' } } },
        h(
          mui.TableRow,
          null,
          columns.map(([title]) => h(mui.TableCell, { key: title, sx: { display: narrow, px: 1 } }, title)),
        ),
      ),
      h(
        mui.TableBody,
        { sx: { display: { xs: 'block', md: 'table-row-group' } } },
        rows.map((row, i) =>
          h(
            mui.TableRow,
            {
              key: i,
              sx: {
                display: { xs: 'block', md: 'table-row' },
                py: { xs: 1, md: 0 },
                borderBottomStyle: 'solid',
                borderBottomWidth: { xs: 1, md: 0 },
                borderColor: 'divider',
              },
            },
            columns.map(([title, cell, short]) => {
              const value = cell(row)
              return value === '' || value === null
                ? h(mui.TableCell, { key: title, sx: { display: narrow } })
                : h(
                    mui.TableCell,
                    {
                      key: title,
                      sx: {
                        display: { xs: 'flex', md: 'table-cell' },
                        gap: 1,
                        overflowWrap: 'anywhere',
                        whiteSpace: { md: short ? 'nowrap' : 'normal' },
                        border: { xs: 0, md: undefined },
                        px: { xs: 0, md: 1 },
                        py: { xs: 0.25, md: 0.75 },
                        verticalAlign: 'top',
                        '&::before': {
                          content: { xs: JSON.stringify(title), md: 'none' },
                          color: 'text.secondary',
                          flex: '0 0 110px',
                        },
                      },
                    },
                    h(mui.Box, { sx: { minWidth: 0 } }, value),
                  )
            }),
          ),
        ),
      ),
    )
  }

  // "12 of 340", with where the rest is, when the document had no room for all.
  const more = (list, command) =>
    list.total > rules.many(list.rows).length
      ? h(
          Line,
          { sx: { color: 'text.secondary', mt: 1 } },
          'The first ' +
            rules.many(list.rows).length +
            ' of ' +
            list.total +
            ', those that need a person first. All of them: ' +
            command,
        )
      : null

  const lines = (texts, colour) =>
    rules.many(texts).map((text, i) => h(Line, { key: i, sx: { color: colour } }, plain(text)))

  function whether(vm) {
    const obstacles = rules.many(vm.obstacles)
    if (obstacles.length)
      return h(React.Fragment, null, 'no', lines(obstacles, 'error.main'), lines(vm.warnings, 'warning.main'))
    return h(
      React.Fragment,
      null,
      vm.starts ? 'yes' : 'is created, not started',
      lines(vm.warnings, 'warning.main'),
    )
  }

  const rehearsed = (vm) =>
    vm.rehearsed
      ? h(
          React.Fragment,
          null,
          plain(vm.rehearsed.result) + ', ' + rules.moment(vm.rehearsed.at),
          lines([vm.rehearsed.why].filter(Boolean)),
          lines(vm.rehearsed.differences, 'text.secondary'),
        )
      : 'not yet'

  const VM_COLUMNS = [
    [
      'VM',
      (vm) =>
        h(
          Line,
          { sx: { fontWeight: 600 } },
          plain(vm.name) + ' (' + plain(vm.id) + (vm.here ? '' : ' at ' + plain(vm.site)) + ')',
        ),
    ],
    ['State', (vm) => plain(vm.state), true],
    ['Recovery point', (vm) => rules.moment(vm.recovery_point), true],
    ['Loss at most', (vm) => rules.loss(vm), true],
    ['Starts', whether],
    ['Priority', (vm) => plain(vm.priority), true],
    ['Rehearsed', rehearsed],
  ]

  const Vms = ({ status }) =>
    h(
      Section,
      { title: 'Virtual machines' },
      status.vms.total
        ? h(
            React.Fragment,
            null,
            h(Table, { columns: VM_COLUMNS, rows: rules.many(status.vms.rows), 'data-cy': 'onedr-vms' }),
            more(status.vms, 'onedr status ' + plain(status.datastore.name)),
          )
        : h(Line, null, 'No VM has disks here.'),
    )

  const UNPROTECTED_COLUMNS = [
    ['Item', (row) => plain(row.item)],
    ['Why', (row) => plain(row.why)],
  ]

  const Unprotected = ({ status }) =>
    status.unprotected.total
      ? h(
          Section,
          { title: 'Not protected' },
          h(Table, {
            columns: UNPROTECTED_COLUMNS,
            rows: rules.many(status.unprotected.rows),
            'data-cy': 'onedr-unprotected',
          }),
          more(status.unprotected, 'onedr status ' + plain(status.datastore.name)),
        )
      : null

  const RUN_COLUMNS = [
    ['Began', (run) => rules.moment(run.began), true],
    ['Run', (run) => rules.title(plain(run.verb).toUpperCase()), true],
    [
      'Result',
      (run) =>
        h(mui.Chip, {
          size: 'small',
          variant: 'outlined',
          label: plain(run.result) || 'not known',
          color:
            { DONE: 'success', PARTIAL: 'warning', FAILED: 'error', INTERRUPTED: 'error' }[run.result] ||
            'default',
        }),
    ],
    ['Took', (run) => (rules.known(run.took_s) ? rules.span(run.took_s) : '–'), true],
    ['RTO', (run) => (rules.known(run.rto_s) ? rules.span(run.rto_s) : '–'), true],
    ['RPO', (run) => (rules.known(run.rpo_s) ? rules.span(run.rpo_s) : '–'), true],
    ['By', (run) => plain(run.by)],
    ['What came of it', (run) => plain(run.message)],
  ]

  const History = ({ status }) =>
    h(
      Section,
      { title: 'Past runs' },
      rules.many(status.runs).length
        ? h(Table, { columns: RUN_COLUMNS, rows: rules.many(status.runs), 'data-cy': 'onedr-history' })
        : h(Line, null, 'There was none yet.'),
    )

  // -- a plan -----------------------------------------------------------------------------------------------

  const PLAN_VM_COLUMNS = [
    [
      'VM',
      (vm) =>
        h(
          Line,
          { sx: { fontWeight: 600 } },
          plain(vm.name) + ' (' + plain(vm.id) + ' at ' + plain(vm.site) + ')',
        ),
    ],
    ['Recovery point', (vm) => rules.moment(vm.recovery_point), true],
    ['Lost at most', (vm) => rules.loss(vm), true],
    [
      'What happens',
      (vm) =>
        vm.left_out
          ? h(Line, { sx: { color: 'error.main' } }, 'is left out: ' + plain(vm.left_out))
          : h(
              React.Fragment,
              null,
              vm.starts
                ? ['starts', vm.priority && 'priority ' + plain(vm.priority)].filter(Boolean).join(', ')
                : 'is created, not started',
              lines(vm.warnings, 'warning.main'),
            ),
    ],
  ]

  const PLAN_IMAGE_COLUMNS = [
    ['Image', (image) => plain(image.image)],
    ['VM', (image) => plain(image.vm)],
    ['Only here', (image) => (image.kept ? rules.loss(image) + ' of writes, preserved' : 'nothing')],
    ['Copied again', (image) => (image.again ? rules.size(image.bytes) || 'yes' : 'no')],
  ]

  const Steps = ({ steps }) =>
    h(
      mui.Box,
      { component: 'ol', sx: { pl: 3, my: 0 }, 'data-cy': 'onedr-plan-steps' },
      rules
        .many(steps)
        .map((step, i) =>
          h(
            'li',
            { key: i },
            lines(step.texts),
            step.count > rules.many(step.texts).length &&
              h(Line, { sx: { color: 'text.secondary' } }, '… ' + step.count + ' of this kind'),
            step.needs && h(Line, { sx: { color: 'text.secondary' } }, 'only if: ' + plain(step.needs)),
          ),
        ),
    )

  const Plan = ({ plan, now }) =>
    h(
      mui.Box,
      { 'data-cy': 'onedr-plan', sx: { display: 'grid', gap: 2 } },
      h(
        Line,
        null,
        [
          plan.lossless ? 'Nothing is lost.' : '',
          plan.seen || (plan.peer && 'Other site: ' + plan.peer),
          plan.fence && 'Fence: ' + plan.fence + '.',
          plan.network && 'Network: ' + plan.network + '.',
        ]
          .filter(Boolean)
          .map(plain)
          .join(' '),
      ),
      plan.vms &&
        plan.vms.total > 0 &&
        h(
          Section,
          { title: plan.vms.total + ' virtual machine(s)' },
          h(Table, {
            columns: PLAN_VM_COLUMNS,
            rows: rules.many(plan.vms.rows),
            'data-cy': 'onedr-plan-vms',
          }),
          more(
            plan.vms,
            'onedr ' + plain(plan.verb).toLowerCase() + ' --dry-run ' + plain(plan.datastore.name),
          ),
        ),
      plan.left_out &&
        plan.left_out.total > 0 &&
        h(
          Section,
          { title: 'Left out' },
          h(Table, { columns: UNPROTECTED_COLUMNS, rows: rules.many(plan.left_out.rows) }),
        ),
      plan.images &&
        plan.images.total > 0 &&
        h(
          Section,
          { title: plan.images.total + ' image(s)' },
          h(Table, { columns: PLAN_IMAGE_COLUMNS, rows: rules.many(plan.images.rows) }),
        ),
      rules.many(plan.steps).length > 0 && h(Section, { title: 'Steps' }, h(Steps, { steps: plan.steps })),
      h(Line, { sx: { color: 'text.secondary' } }, 'Planned ' + rules.span(now - plan.as_of) + ' ago'),
    )

  return { History, Plan, Unprotected, Vms }
})
