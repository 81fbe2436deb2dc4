variable "bucket" {
  description = "Name of the lake's bucket, unique in all of S3."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "Use 3 to 63 lower-case letters, digits and hyphens; no dots, because TLS certificates of S3 don't cover them."
  }
}

variable "environment" {
  description = "Which environment this is; it is part of the roles' names and a tag on everything."
  type        = string
}

variable "trusted_principals" {
  description = "ARNs that may take on the roles, by role: writer (Spark and Airflow), reader (analysts), publisher's consumer (downstream systems)."
  type = object({
    writer   = list(string)
    reader   = list(string)
    consumer = list(string)
  })

  validation {
    condition     = alltrue([for arns in values(var.trusted_principals) : length(arns) > 0 && !contains(arns, "*")])
    error_message = "Name at least one ARN for each role, and never \"*\"."
  }
}

variable "landing_days" {
  description = "Days after which delivered files in landing/ move to the archive class; they are never deleted, because raw rows are made from them."
  type        = number
  default     = 90
}

variable "quarantine_days" {
  description = "Days for which overwritten or deleted versions of quarantine/ are kept."
  type        = number
  default     = 180
}

variable "noncurrent_days" {
  description = "Days for which overwritten or deleted versions of all other files are kept: the time in which a mistake can be undone."
  type        = number
  default     = 30
}

variable "force_destroy" {
  description = "Whether destroying the bucket deletes the data in it. For throw-away environments only."
  type        = bool
  default     = false
}
