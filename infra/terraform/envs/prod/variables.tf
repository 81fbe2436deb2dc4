variable "region" {
  description = "AWS region of the lake."
  type        = string
}

variable "bucket" {
  description = "Name of the lake's bucket."
  type        = string
}

variable "trusted_principals" {
  description = "ARNs that may take on the roles writer, reader and consumer."
  type = object({
    writer   = list(string)
    reader   = list(string)
    consumer = list(string)
  })
}

variable "endpoint" {
  description = "Address of a local S3 server, for tests."
  type        = string
  default     = ""
}
