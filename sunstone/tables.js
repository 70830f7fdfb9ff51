/*
 * Tables: VMs, what is not protected, past runs, the steps and VMs of a plan. On a phone they become lists.
 */
window.OneDRModule.define('tables', function (made) {
  'use strict'

  const { React, mui, rules, views } = made
  const h = React.createElement
  const { plain } = rules
  const { Line, Section } = views
  const COLUMN_PX = 105 // that a column needs on average
  const WORD_PX = 96 // so that words stay whole

  // Has what is around a table fewer pixels than it needs? A detail is narrower than its window.
  function useNarrow(needed) {
    const around = React.useRef(null)
    const [narrow, setNarrow] = React.useState(false)
    React.useLayoutEffect(() => {
      const look = () => setNarrow(around.current.getBoundingClientRect().width < needed)
      look()
      window.addEventListener('resize', look)
      return () => window.removeEventListener('resize', look)
    })
    return [around, narrow]
  }

  // `columns`: [title, cell of a row, is it short]. Where there is little room a row is a block, with titles
  // before its values.
  function Table({ columns, rows, ...rest }) {
    const [around, narrow] = useNarrow(columns.length * COLUMN_PX)
    const part = (wide) => (narrow ? 'block' : wide)
    const row = { display: part('table-row'), py: narrow ? 1 : 0, borderBottom: narrow ? 1 : 0 }
    const cell = {
      display: narrow ? 'flex' : 'table-cell',
      gap: 1,
      overflowWrap: 'anywhere',
      px: narrow ? 0 : 1,
      py: narrow ? 0.25 : 0.75,
      verticalAlign: 'top',
      ...(narrow ? { border: 0 } : {}),
    }
    const before = (title) =>
      narrow ? { content: JSON.stringify(title), color: 'text.secondary', flex: '0 0 110px' } : {}
    const shown = (value, [title, , short]) =>
      value === '' || value === null
        ? h(mui.TableCell, { key: title, sx: { ...cell, display: narrow ? 'none' : 'table-cell' } })
        : h(
            mui.TableCell,
            {
              key: title,
              sx: {
                ...cell,
                whiteSpace: short && !narrow ? 'nowrap' : 'normal',
                '&::before': before(title),
              },
            },
            h(mui.Box, { sx: { minWidth: narrow || short ? 0 : WORD_PX } }, value),
          )
    return h(
      'div',
      { ref: around },
      h(
        mui.Table,
        { size: 'small', ...rest, sx: { display: part('table') } },
        h(
          mui.TableHead,
          { sx: { display: narrow ? 'none' : 'table-header-group' } },
          h(
            mui.TableRow,
            null,
            columns.map(([title]) => h(mui.TableCell, { key: title, sx: { px: 1 } }, title)),
          ),
        ),
        h(
          mui.TableBody,
          { sx: { display: part('table-row-group') } },
          rows.map((each, i) =>
            h(
              mui.TableRow,
              { key: i, sx: { ...row, borderColor: 'divider' } },
              columns.map((column) => shown(column[1](each), column)),
            ),
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

  const LOST = 'Lost at most'
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
    [LOST, (vm) => rules.loss(vm), true],
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

  const DRILL_VM_COLUMNS = PLAN_VM_COLUMNS.filter(([title]) => title !== LOST) // a drill loses nothing

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
          plan.lossless && !plan.refusal ? 'Nothing is lost.' : '',
          plan.seen || (plan.peer && 'Other site: ' + plan.peer + '.'),
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
            columns: plan.verb === 'DRILL' ? DRILL_VM_COLUMNS : PLAN_VM_COLUMNS,
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
