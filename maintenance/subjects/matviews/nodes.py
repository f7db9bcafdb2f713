"""Known nodes of stored queries, with their fields; any other node makes a proof impossible.

Source: PostgreSQL sources, nodes/primnodes.h and nodes/parsenodes.h of 15 to 18. Positions in a
text (such as `location`) are left out: they have no effect on the result.
"""

PLACES = frozenset({"location", "stmt_location", "stmt_len", "list_start", "list_end", "queryId"})
"""Fields of any node that give its position in a text."""

_FIELDS = {
    "QUERY": (
        "commandType querySource canSetTag utilityStmt resultRelation hasAggs "
        "hasWindowFuncs hasTargetSRFs hasSubLinks hasDistinctOn hasRecursive "
        "hasModifyingCTE hasForUpdate hasRowSecurity hasGroupRTE isReturn "
        "cteList rtable rteperminfos jointree mergeActionList "
        "mergeTargetRelation mergeJoinCondition targetList override onConflict "
        "returningOldAlias returningNewAlias returningList groupClause "
        "groupDistinct groupingSets havingQual windowClause distinctClause "
        "sortClause limitOffset limitCount limitOption rowMarks setOperations "
        "constraintDeps withCheckOptions mergeUseOuterJoin"
    ),
    "RANGETBLENTRY": (
        "alias eref rtekind relid inh relkind rellockmode perminfoindex "
        "tablesample subquery security_barrier jointype joinmergedcols "
        "joinaliasvars joinleftcols joinrightcols join_using_alias functions "
        "funcordinality tablefunc values_lists ctename ctelevelsup "
        "self_reference coltypes coltypmods colcollations enrname enrtuples "
        "groupexprs lateral inFromCl securityQuals requiredPerms checkAsUser "
        "selectedCols insertedCols updatedCols extraUpdatedCols"
    ),
    "RTEPERMISSIONINFO": (
        "relid inh requiredPerms checkAsUser selectedCols insertedCols updatedCols"
    ),
    "RANGETBLFUNCTION": (
        "funcexpr funccolcount funccolnames funccoltypes funccoltypmods "
        "funccolcollations funcparams"
    ),
    "SORTGROUPCLAUSE": "tleSortGroupRef eqop sortop reverse_sort nulls_first hashable",
    "GROUPINGSET": "kind content",
    "WINDOWCLAUSE": (
        "name refname partitionClause orderClause frameOptions startOffset "
        "endOffset startInRangeFunc endInRangeFunc inRangeColl inRangeAsc "
        "inRangeNullsFirst winref copiedOrder runCondition"
    ),
    "ROWMARKCLAUSE": "rti strength waitPolicy pushedDown",
    "COMMONTABLEEXPR": (
        "ctename aliascolnames ctematerialized ctequery search_clause "
        "cycle_clause cterecursive cterefcount ctecolnames ctecoltypes "
        "ctecoltypmods ctecolcollations"
    ),
    "CTESEARCHCLAUSE": "search_col_list search_breadth_first search_seq_column",
    "CTECYCLECLAUSE": (
        "cycle_col_list cycle_mark_column cycle_mark_value cycle_mark_default "
        "cycle_path_column cycle_mark_type cycle_mark_typmod "
        "cycle_mark_collation cycle_mark_neop"
    ),
    "SETOPERATIONSTMT": "op all larg rarg colTypes colTypmods colCollations groupClauses",
    "RANGETBLREF": "rtindex",
    "JOINEXPR": ("jointype isNatural larg rarg usingClause join_using_alias quals alias rtindex"),
    "FROMEXPR": "fromlist quals",
    "ALIAS": "aliasname colnames",
    "TABLEFUNC": (
        "functype ns_uris ns_names docexpr rowexpr colnames coltypes coltypmods "
        "colcollations colexprs coldefexprs colvalexprs passingvalexprs "
        "notnulls plan ordinalitycol"
    ),
    "VAR": (
        "varno varattno vartype vartypmod varcollid varnullingrels varlevelsup "
        "varreturningtype varnosyn varattnosyn"
    ),
    "CONST": ("consttype consttypmod constcollid constlen constvalue constisnull constbyval"),
    "PARAM": "paramkind paramid paramtype paramtypmod paramcollid",
    "AGGREF": (
        "aggfnoid aggtype aggcollid inputcollid aggtranstype aggargtypes "
        "aggdirectargs args aggorder aggdistinct aggfilter aggstar aggvariadic "
        "aggkind aggpresorted agglevelsup aggsplit aggno aggtransno"
    ),
    "GROUPINGFUNC": "args refs cols agglevelsup",
    "WINDOWFUNC": (
        "winfnoid wintype wincollid inputcollid args aggfilter runCondition winref winstar winagg"
    ),
    "WINDOWFUNCRUNCONDITION": "opno inputcollid wfunc_left arg",
    "SUBSCRIPTINGREF": (
        "refcontainertype refelemtype refrestype reftypmod refcollid "
        "refupperindexpr reflowerindexpr refexpr refassgnexpr"
    ),
    "FUNCEXPR": (
        "funcid funcresulttype funcretset funcvariadic funcformat funccollid inputcollid args"
    ),
    "NAMEDARGEXPR": "arg name argnumber",
    "OPEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args",
    "DISTINCTEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args",
    "NULLIFEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args",
    "SCALARARRAYOPEXPR": "opno opfuncid hashfuncid negfuncid useOr inputcollid args",
    "BOOLEXPR": "boolop args",
    "SUBLINK": "subLinkType subLinkId testexpr operName subselect",
    "FIELDSELECT": "arg fieldnum resulttype resulttypmod resultcollid",
    "RELABELTYPE": "arg resulttype resulttypmod resultcollid relabelformat",
    "COERCEVIAIO": "arg resulttype resultcollid coerceformat",
    "ARRAYCOERCEEXPR": "arg elemexpr resulttype resulttypmod resultcollid coerceformat",
    "CONVERTROWTYPEEXPR": "arg resulttype convertformat",
    "COLLATEEXPR": "arg collOid",
    "CASEEXPR": "casetype casecollid arg args defresult",
    "CASEWHEN": "expr result",
    "CASETESTEXPR": "typeId typeMod collation",
    "ARRAYEXPR": "array_typeid array_collid element_typeid elements multidims",
    "ROWEXPR": "args row_typeid row_format colnames",
    "ROWCOMPAREEXPR": "cmptype opnos opfamilies inputcollids largs rargs rctype",
    "COALESCEEXPR": "coalescetype coalescecollid args",
    "MINMAXEXPR": "minmaxtype minmaxcollid inputcollid op args",
    "XMLEXPR": "op name named_args arg_names args xmloption indent type typmod",
    "JSONFORMAT": "format_type encoding",
    "JSONRETURNING": "format typid typmod",
    "JSONVALUEEXPR": "raw_expr formatted_expr format",
    "JSONCONSTRUCTOREXPR": "type args func coercion returning absent_on_null unique",
    "JSONISPREDICATE": "expr format item_type unique_keys",
    "JSONBEHAVIOR": "btype expr coerce",
    "JSONEXPR": (
        "op column_name formatted_expr format path_spec returning passing_names "
        "passing_values on_empty on_error use_io_coercion use_json_coercion "
        "wrapper omit_quotes collation"
    ),
    "JSONTABLEPATH": "value name",
    "JSONTABLEPATHSCAN": "path errorOnError child colMin colMax",
    "JSONTABLESIBLINGJOIN": "lplan rplan",
    "NULLTEST": "arg nulltesttype argisrow",
    "BOOLEANTEST": "arg booltesttype",
    "COERCETODOMAIN": "arg resulttype resulttypmod resultcollid coercionformat",
    "COERCETODOMAINVALUE": "typeId typeMod collation",
    "TARGETENTRY": "expr resno resname ressortgroupref resorigtbl resorigcol resjunk",
}

NODES = {node: frozenset(fields.split()) | PLACES for node, fields in _FIELDS.items()}
"""The known fields of each known node."""

FUNCTIONS = frozenset(
    {
        *("funcid", "aggfnoid", "winfnoid", "opfuncid", "hashfuncid", "negfuncid"),
        *("startInRangeFunc", "endInRangeFunc"),
    }
)
"""Fields that hold the OID of a function."""

OPERATORS = frozenset(["opno", "opnos", "eqop", "sortop", "cycle_mark_neop"])
"""Fields that hold OIDs of operators."""

TYPES = frozenset(
    {
        *("vartype", "consttype", "paramtype", "aggtype", "aggtranstype", "aggargtypes"),
        *("wintype", "refcontainertype", "refelemtype", "refrestype", "funcresulttype"),
        *("opresulttype", "resulttype", "casetype", "typeId", "array_typeid", "element_typeid"),
        *("row_typeid", "coalescetype", "minmaxtype", "typid", "funccoltypes", "coltypes"),
        *("ctecoltypes", "colTypes", "cycle_mark_type"),
    }
)
"""Fields that hold OIDs of types."""

PARSED = frozenset(
    {("COERCEVIAIO", "resulttype"), ("TABLEFUNC", "coltypes"), ("JSONRETURNING", "typid")}
)
"""Fields that hold OIDs of types whose values are read from text."""

PRINTING = frozenset(
    {"COERCEVIAIO", "XMLEXPR", "TABLEFUNC", "JSONEXPR", "JSONCONSTRUCTOREXPR", "JSONVALUEEXPR"}
)
"""Nodes that turn values of any type into text."""
