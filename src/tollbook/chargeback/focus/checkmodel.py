"""The rule tables of FOCUS 1.2 and 1.4, as data: columns, nulls, and values that are allowed.

Sources: FOCUS 1.2, ``specification/columns``; FOCUS 1.4 data model of 4 June 2026 (CC-BY-4.0,
FinOps Foundation). ISO 4217 currencies as of 2026.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Column(NamedTuple):
    """What a column may hold."""

    name: str
    form: str
    """text, decimal, price (a decimal of zero or more), time, currency, unit, object (JSON),
    tags (a flat JSON object), or allowed."""
    is_mandatory: bool
    is_nullable: bool
    allowed: tuple[str, ...] = ()


SUBCATEGORIES: Final = {
    "AI and Machine Learning": (
        "AI Platforms|Bots|Generative AI|Machine Learning|Natural Language Processing"
    ),
    "Analytics": (
        "Analytics Platforms|Business Intelligence|Data Processing|Search|Streaming Analytics"
    ),
    "Business Applications": "Productivity and Collaboration",
    "Compute": (
        "Containers|End User Computing|Quantum Compute|Serverless Compute|Virtual Machines"
    ),
    "Databases": (
        "Caching|Data Warehouses|Ledger Databases|NoSQL Databases|Relational Databases|"
        "Time Series Databases"
    ),
    "Developer Tools": (
        "Continuous Integration and Deployment|Developer Platforms|Development Environments|"
        "Quality Assurance|Source Code Management"
    ),
    "Multicloud": "Multicloud Integration",
    "Identity": "Identity and Access Management",
    "Integration": "API Management|Messaging|Workflow Orchestration",
    "Internet of Things": "IoT Analytics|IoT Platforms",
    "Management and Governance": (
        "Architecture|Compliance|Cost Management|Data Governance|Disaster Recovery|"
        "Endpoint Management|Observability|Support"
    ),
    "Media": "Content Creation|Gaming|Media Streaming|Mixed Reality",
    "Migration": "Data Migration|Resource Migration",
    "Mobile": "",
    "Networking": (
        "Application Networking|Content Delivery|Network Connectivity|Network Infrastructure|"
        "Network Routing|Network Security"
    ),
    "Security": "Secret Management|Security Posture Management|Threat Detection and Response",
    "Storage": "Backup Storage|Block Storage|File Storage|Object Storage|Storage Platforms",
    "Web": "Application Platforms",
    "Other": "",
}
PARENTS: Final = {
    sub: category
    for category, subs in SUBCATEGORIES.items()
    for sub in (*filter(None, subs.split("|")), f"Other ({category})")
}
"""Subcategory to its category."""

_CATEGORIES: Final = "Usage|Purchase|Tax|Credit|Adjustment"
_ALLOWED: Final = {
    "ChargeCategory": _CATEGORIES,
    "ChargeClass": "Correction",
    "ChargeFrequency": "One-Time|Recurring|Usage-Based",
    "PricingCategory": "Standard|Dynamic|Committed|Other",
    "CommitmentDiscountCategory": "Spend|Usage",
    "CommitmentDiscountStatus": "Used|Unused",
    "CapacityReservationStatus": "Used|Unused",
    "ServiceCategory": "|".join(SUBCATEGORIES),
    "ServiceSubcategory": "|".join(PARENTS),
    "BillingPeriodStatus": "Open|Closed",
    "InvoiceIssueStatus": "Open|Issued|Voided",
}
_FORMS: Final = {
    "decimal": (
        "BilledCost CommitmentDiscountQuantity ConsumedQuantity ContractedCost EffectiveCost "
        "ListCost PricingCurrencyEffectiveCost PricingQuantity PaymentCurrencyBilledCost"
    ),
    "price": (
        "ContractedUnitPrice ListUnitPrice PricingCurrencyContractedUnitPrice "
        "PricingCurrencyListUnitPrice"
    ),
    "time": (
        "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd InvoiceIssueDate "
        "BillingPeriodCreated BillingPeriodLastUpdated InvoiceDetailCreated PaymentDueDate "
        "InvoiceDetailLastUpdated"
    ),
    "currency": "BillingCurrency PricingCurrency PaymentCurrency",
    "unit": "PricingUnit ConsumedUnit CommitmentDiscountUnit",
    "object": "AllocatedMethodDetails CommitmentProgramEligibilityDetails ContractApplied",
    "tags": "Tags AllocatedTags SkuPriceDetails InvoiceDetailGrain",
}
_FORM_OF: Final = {name: form for form, names in _FORMS.items() for name in names.split()}

# A column is mandatory with "!", and may not be null with "*".
_COMMON: Final = (
    "AvailabilityZone BilledCost!* BillingAccountId!* BillingAccountName! BillingAccountType "
    "BillingCurrency!* BillingPeriodEnd!* BillingPeriodStart!* CapacityReservationId "
    "CapacityReservationStatus ChargeCategory!* ChargeClass! ChargeDescription! ChargeFrequency* "
    "ChargePeriodEnd!* ChargePeriodStart!* CommitmentDiscountCategory CommitmentDiscountId "
    "CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus "
    "CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost!* "
    "ContractedUnitPrice EffectiveCost!* InvoiceId InvoiceIssuerName!* ListCost!* ListUnitPrice "
    "PricingCategory PricingCurrency* PricingCurrencyContractedUnitPrice "
    "PricingCurrencyEffectiveCost* PricingCurrencyListUnitPrice PricingQuantity! PricingUnit! "
    "RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory!* ServiceName!* "
    "ServiceSubcategory* SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName "
    "SubAccountType Tags"
)
_COST_AND_USAGE: Final = {
    "1.2": f"{_COMMON} ProviderName!* PublisherName!*",
    "1.4": (
        f"{_COMMON} AllocatedMethodDetails AllocatedMethodId AllocatedResourceId "
        "AllocatedResourceName AllocatedTags CommitmentProgramEligibilityDetails ContractApplied "
        "HostProviderName! InvoiceDetailId ServiceProviderName!*"
    ),
}
_INVOICE_DETAIL: Final = (
    "BilledCost!* BillingAccountId!* BillingCurrency!* BillingPeriodEnd!* BillingPeriodStart!* "
    "ChargeCategory!* InvoiceDetailCreated!* InvoiceDetailDescription! InvoiceDetailGrain! "
    "InvoiceDetailId!* InvoiceDetailLastUpdated!* InvoiceId!* InvoiceIssueDate! "
    "InvoiceIssueStatus!* InvoiceIssuerName!* PaymentCurrency* PaymentCurrencyBilledCost* "
    "PaymentCurrencyInvoiceDetailId* PaymentDueDate! PaymentTerms!* PurchaseOrderNumber "
    "ReferenceInvoiceId!*"
)
_BILLING_PERIOD: Final = (
    "BillingPeriodCreated!* BillingPeriodEnd!* BillingPeriodLastUpdated!* BillingPeriodStart!* "
    "BillingPeriodStatus!* InvoiceIssuerName!*"
)


def _read(text: str) -> dict[str, Column]:
    found = {}
    for word in text.split():
        name = word.rstrip("!*")
        allowed = tuple(_ALLOWED[name].split("|")) if name in _ALLOWED else ()
        form = "allowed" if allowed else _FORM_OF.get(name, "text")
        found[name] = Column(name, form, "!" in word, "*" not in word, allowed)
    return found


MODELS: Final = {
    ("cost_and_usage", "1.2"): _read(_COST_AND_USAGE["1.2"]),
    ("cost_and_usage", "1.4"): _read(_COST_AND_USAGE["1.4"]),
    ("invoice_detail", "1.4"): _read(_INVOICE_DETAIL),
    ("billing_period", "1.4"): _read(_BILLING_PERIOD),
}
"""Columns by dataset and version."""

_SKU_KEYS: Final = (
    "CoreCount DiskMaxIops DiskSpace DiskType GpuCount InstanceType InstanceSeries MemorySize "
    "NetworkMaxIops NetworkMaxThroughput OperatingSystem Redundancy StorageClass"
)
_GRAIN_KEYS: Final = (
    "ContractId RegionId ResourceId ResourceType ServiceName SkuId SkuMeter SkuPriceId SubAccountId"
)
FOCUS_KEYS: Final = {
    "SkuPriceDetails": frozenset(_SKU_KEYS.split()),
    "InvoiceDetailGrain": frozenset(_GRAIN_KEYS.split()),
}
"""Keys that FOCUS defines; every other begins with ``x_``."""

_CURRENCIES: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN "
    "BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN "
    "ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD "
    "JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT "
    "MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
    "QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT "
    "TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF "
    "XPF YER ZAR ZMW ZWG"
)
CURRENCIES: Final = frozenset(_CURRENCIES.split())
"""National currencies of ISO 4217; metals and units of account bill nobody."""
_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_MILLS: Final = "BHD IQD JOD KWD LYD OMR TND"
SUBUNIT_DIGITS: Final = dict.fromkeys(_WHOLE.split(), 0) | dict.fromkeys(_MILLS.split(), 3)
"""Digits after the point of a currency's smallest unit, where these are not two."""
